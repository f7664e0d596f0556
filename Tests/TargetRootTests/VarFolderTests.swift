import LinuxSystem
import SystemPackage
import Testing

@testable import TargetRoot

@Suite struct VarFolders {
    @Test func foldersAreMadeWhereNothingIs() throws {
        let target = try Target()
        try target.put("/var/lib/kept", "kept")
        let wanted: [(path: String, mode: UInt32)] = [
            ("/var/lib", 0o700), ("/var/roothome", 0o700), ("/var/log", 0o755),
        ]
        #expect(try target.root.makeFolders(wanted) == ["/var/roothome", "/var/log"])
        #expect(target.mode("/var/lib") == "755")
        #expect(target.mode("/var/roothome") == "700")
        #expect(try target.root.makeFolders(wanted) == [])
    }

    @Test func aFolderGoesWithItsContent() throws {
        let target = try Target()
        try target.put("/var/lib/sss/mc/passwd", "old")
        try target.root.removeFolder("/var/lib/sss/mc")
        try target.root.removeFolder("/var/lib/sss/mc")
        #expect(target.paths() == ["var", "var/lib", "var/lib/sss"])
    }

    @Test(
        "a line of fstab mounts /var",
        arguments: [
            ("/dev/vda1 /var xfs defaults 0 0", true), ("LABEL=var\t/var\txfs", true),
            ("/dev/vda1 /var/lib xfs defaults", false),
            ("# mine\r\n/dev/vda1 /var xfs defaults 0 0\r", true), ("#/dev/vda1 /var xfs defaults", false),
            ("/dev/vda1 /var xfs rw,noauto 0 0", false), ("", false),
        ])
    func fstab(_ line: String, _ mounts: Bool) {
        #expect(TargetRoot.mountsVar(fstab: "\(line)\n") == mounts)
    }

    @Test func aUnitMountsVarUnlessItIsMasked() throws {
        let target = try Target()
        #expect(!target.root.mountsVar)
        try target.put("/etc/systemd/system/var.mount", "[Mount]\n")
        #expect(target.root.mountsVar)
        try Files.remove(target.path("/etc/systemd/system/var.mount"))
        try Files.makeLink(target.path("/etc/systemd/system/var.mount"), to: "/dev/null")
        #expect(!target.root.mountsVar)
    }

    @Test(
        "there is a policy where it is named, there, and not disabled",
        arguments: [
            ("SELINUX=enforcing\nSELINUXTYPE=targeted\n", true), ("SELINUX=permissive\nSELINUXTYPE=targeted\n", true),
            ("SELINUX=disabled\nSELINUXTYPE=targeted\n", false), ("SELINUX=enforcing\nSELINUXTYPE=mls\n", false),
            ("", false),
        ])
    func policy(_ config: String, _ isThere: Bool) throws {
        let target = try Target()
        try target.put("/etc/selinux/targeted/contexts/files/file_contexts", "/.* system_u:object_r:root_t:s0\n")
        try target.put("/etc/selinux/config", config)
        #expect(target.root.hasPolicy == isThere)
    }
}
