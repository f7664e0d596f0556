// The boot menus of a live ISO, with room in them for other kernel arguments.

import BootArguments
import BootMedia

/// A file of a boot loader, and where in it the kernel arguments stand.
struct BootMenu: Equatable {
    /// Path in the ISO.
    var path: String
    var text: String
    /// Where the area for the arguments starts, in bytes.
    var offset: Int

    /// Bytes of the area: arguments, a newline, and a comment that longer arguments eat into.
    static let areaSize = 1536
    /// The end of the comment.
    ///
    /// Tools that make minimal ISOs and customized ones look for it.
    static let areaEnd = "# COREOS_KARG_EMBED_AREA\n"
    static let kernel = "/images/pxeboot/vmlinuz"
    static let initrds = ["/images/pxeboot/initrd.img", "/images/ignition.img"]

    private init(path: String, before: String, arguments: String, after: String) {
        self.path = path
        offset = before.utf8.count
        let area = arguments + "\n"
        let filling = String(repeating: "#", count: max(0, Self.areaSize - area.utf8.count))
        text = before + area + filling + Self.areaEnd + after
    }

    /// For BIOS machines.
    static func isolinux(_ arguments: String) -> BootMenu {
        BootMenu(
            path: "isolinux/isolinux.cfg",
            before: """
                default live
                prompt 1
                timeout 50
                label live
                  kernel \(kernel)
                  append initrd=\(initrds.joined(separator: ","))\u{20}
                """,
            arguments: arguments, after: "")
    }

    /// Where GRUB's part is in the ISO.
    private static let folder = "EFI/\(EFIPrograms.vendor)"

    /// For UEFI machines: the arguments, twice, and the menu that takes them from there.
    ///
    /// In a script of GRUB's `&` ends a command and `${...}` is GRUB's own. The value of a variable is not a script, so
    /// the arguments stand in an environment block. There, however, quotes hold nothing together: arguments that need
    /// them are read as script.
    static func grub(_ arguments: String) -> [BootMenu] {
        [
            BootMenu(
                path: "\(folder)/kargs.env", before: "# GRUB Environment Block\nkargs=", arguments: arguments, after: ""
            ),
            BootMenu(path: "\(folder)/kernel.cfg", before: "linux \(kernel) ", arguments: arguments, after: ""),
        ]
    }

    /// GRUB's menu, which holds no arguments itself.
    static func grubMenu(name: String) -> (path: String, text: String) {
        (
            "\(folder)/grub.cfg",
            """
            set default=0
            set timeout=5
            \(machineValues)
            load_env --file $prefix/kargs.env kargs
            menuentry '\(name)' {
              if regexp '^([^"&;|<>]*"[^"]*")+[^"&;|<>]*$' "$kargs"; then
                source $prefix/kernel.cfg
              else
                linux \(kernel) $kargs
              fi
              initrd \(initrds.joined(separator: " "))
            }

            """
        )
    }

    /// Has GRUB put `${uuid}` and the like for themselves: the arguments are the same for every loader.
    private static let machineValues = MachineValue.allCases.map { "set \($0.rawValue)='\($0.place)'" }
        .joined(separator: "\n")

    /// A kernel argument as GRUB's scripts have to have it: `&` would end the command, `${...}` is GRUB's own.
    static func quotedForGRUB(_ word: String) -> String {
        guard word.contains(where: { "$&;|<>{}'\"\\#".contains($0) }) else { return word }
        return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }

    /// `coreos/kargs.json` for these menus, all of the same arguments.
    static func information(_ menus: [BootMenu], arguments: String) -> ArgumentInformation {
        ArgumentInformation(
            defaults: arguments,
            files: menus.map {
                ArgumentInformation.Location(
                    path: $0.path, offset: UInt64($0.offset), pad: UInt8(ascii: "#"), end: UInt8(ascii: "\n"))
            }, size: UInt64(areaSize))
    }
}
