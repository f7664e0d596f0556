// What this host has to boot UEFI machines with.

import Glibc
import InitramfsImage
import LinuxSystem
import SystemPackage

/// The boot loaders that are installed here, signed ones before others.
struct EFIPrograms: Equatable {
    /// What firmware starts: shim where it is installed, else GRUB itself.
    var first: FilePath
    /// Started by shim; `nil` where GRUB is the first.
    var grub: FilePath?
    /// Enrols keys; shim asks for it.
    var keyManager: FilePath?
    /// Whether Secure Boot lets all of it run.
    var isSigned: Bool

    /// The folder in which Debian's GRUB looks for its configuration.
    static let vendor = "debian"

    private static let signedShims: [FilePath] = ["/usr/lib/shim/shimx64.efi.signed"]
    private static let signedGRUBs: [FilePath] = ["/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"]
    private static let keyManagers: [FilePath] = ["/usr/lib/shim/mmx64.efi.signed", "/usr/lib/shim/mmx64.efi"]
    private static let grubs: [FilePath] = ["/usr/lib/grub/x86_64-efi/monolithic/grubx64.efi"]

    /// `nil` where nothing is installed.
    static func installed(below root: FilePath = "/") -> EFIPrograms? {
        func found(_ files: [FilePath]) -> FilePath? {
            files.map { root.pushing(FilePath(String($0.string.dropFirst()))) }.first { Files.exists($0) }
        }
        if let shim = found(signedShims), let grub = found(signedGRUBs) {
            return EFIPrograms(first: shim, grub: grub, keyManager: found(keyManagers), isSigned: true)
        }
        guard let grub = found(signedGRUBs + grubs) else { return nil }
        return EFIPrograms(first: grub, isSigned: false)
    }

    /// Where each stands on a volume that firmware boots from.
    var files: [(source: FilePath, path: String)] {
        var files = [(source: first, path: "EFI/BOOT/BOOTX64.EFI")]
        if let grub { files.append((grub, "EFI/BOOT/grubx64.efi")) }
        if let keyManager { files.append((keyManager, "EFI/BOOT/mmx64.efi")) }
        return files
    }

    /// Debian's packages of them.
    static let packages = "shim-signed, grub-efi-amd64-signed"
}

/// `images/efiboot.img`: the small FAT filesystem that UEFI firmware starts a CD or a stick from.
struct EFIBootImage {
    var programs: EFIPrograms
    /// Of the volume to boot from.
    var label: String
    /// In seconds since 1970; `nil` is now.
    var time: UInt32?

    private static let mtools = (
        folder: HostProgram(name: "mmd", package: "mtools"), copy: HostProgram(name: "mcopy", package: "mtools")
    )

    /// GRUB's first configuration: it finds the volume and goes on with the file there.
    var configuration: String {
        """
        search --no-floppy --set=root --label '\(label)'
        set prefix=($root)/EFI/\(EFIPrograms.vendor)
        configfile $prefix/grub.cfg

        """
    }

    /// Writes the filesystem; `folder` has room for what is in between.
    func write(to image: FilePath, in folder: FilePath) throws {
        let stub = folder.appending("grub-stub.cfg")
        try Files.write(configuration, to: stub)
        var contents = programs.files
        contents.append((stub, "EFI/\(EFIPrograms.vendor)/grub.cfg"))
        contents.append((stub, "EFI/BOOT/grub.cfg"))
        // Clusters are not full, and the tables take room too.
        let bytes = contents.reduce(UInt64(0)) { $0 + (Files.size($1.source) ?? 0) + (32 << 10) }
        let kibibytes = ((bytes >> 20) + 1) * 1024
        let identity = String(time ?? 0x4649_5245, radix: 16)
        try HostProgram(name: "mkfs.fat", package: "dosfstools").run([
            "-C", "--invariant", "-n", "EFIBOOT", "-i", identity, image.string, "\(kibibytes)",
        ])
        var environment = Command.defaultEnvironment + ["MTOOLS_SKIP_CHECK=1", "MTOOLSRC=/dev/null", "TZ=UTC"]
        if let time { environment.append("SOURCE_DATE_EPOCH=\(max(time, 315_532_800))") }
        try Self.mtools.folder.run(
            ["-i", image.string, "::/EFI", "::/EFI/BOOT", "::/EFI/\(EFIPrograms.vendor)"], environment: environment)
        for (source, path) in contents {
            try Self.mtools.copy.run(
                ["-i", image.string, source.string, "::/\(path)"], environment: environment)
        }
    }
}
