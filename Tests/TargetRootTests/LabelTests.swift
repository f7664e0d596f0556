import LinuxSystem
import SystemPackage
import Testing

@testable import TargetRoot

@Suite struct LabelsOfUnits {
    /// The target's systemctl labels nothing before the policy is loaded.
    @Test func whatEnablesAUnitIsLabelled() throws {
        let target = try Target()
        let units = "/etc/systemd/system"
        try target.put("/etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n")
        try target.put("/etc/selinux/targeted/contexts/files/file_contexts", "")
        try target.put("\(units)/there.target.wants/other.service", "")
        try target.put("\(units)/kept.target.wants/other.service", "")
        target.does = { [unowned target] command in
            guard command.program == "systemctl" else { return }
            try? Files.makeFolder(target.path("\(units)/new.target.requires"))
            for link in ["alias.service", "there.target.wants/a.service", "new.target.requires/a.service"] {
                try? Files.makeLink(target.path("\(units)/\(link)"), to: "\(units)/a.service")
            }
        }
        try target.provision(#""systemd": {"units": [{"name": "a.service", "contents": "[Unit]", "enabled": true}]}"#)
        let setfiles = try #require(target.ran.withLock { $0.last { $0.program == "setfiles" } })
        let root = target.root.root
        let paths = String(decoding: setfiles.input ?? [], as: UTF8.self).split(separator: "\0")
        let labelled = paths.map { String($0.dropFirst(root.string.count)) }.filter { $0.hasPrefix("\(units)/") }
        #expect(
            labelled == [
                "\(units)/a.service", "\(units)/alias.service", "\(units)/new.target.requires",
                "\(units)/new.target.requires/a.service", "\(units)/there.target.wants/a.service",
            ])
    }
}
