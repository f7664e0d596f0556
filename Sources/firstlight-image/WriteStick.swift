// firstlight-image usb

import ArgumentParser
import Glibc
import ImageMaking
import LinuxSystem
import Reporting
import SystemPackage

struct WriteStick: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usb",
        abstract: "Write an image to a stick, and read it back.",
        discussion: """
            All that is on the device is lost: it is shown, and has to be confirmed. A
            device that is mounted, in use or not removable is refused. --force takes one
            that is not removable, and asks for its serial to be typed.

            EXAMPLES:
              firstlight-image usb live.iso /dev/sdb
              firstlight-image usb --yes live.iso /dev/disk/by-id/usb-SanDisk_...
            """)

    @Argument(help: "The image, usually an ISO.", completion: .file(), transform: path)
    var image: FilePath

    @Argument(help: "The whole device.", completion: .file(), transform: path)
    var device: FilePath

    @Flag(help: "Do not ask before a removable device is written to.")
    var yes = false

    @Flag(help: "Take a device that is not removable; its serial has to be typed.")
    var force = false

    func run() throws {
        guard let size = Files.size(image), Files.status(image).map({ $0.st_mode & S_IFMT == S_IFREG }) == true else {
            throw FileFault("read", image, .noSuchFileOrDirectory)
        }
        let stick = try StickDevice(device)
        say(stick.description)
        stick.contents().forEach { say("  \($0)") }
        try stick.check(imageSize: size, force: force)
        try confirm(stick)
        let written = try showingProgress { try StickWriting(image: image, device: device).run(telling: $0) }
        print("\(device)  \(ByteCount(written)) written and read back")
    }

    private func confirm(_ stick: StickDevice) throws {
        if stick.isRemovable {
            if yes { return }
            try ask("All of this will be lost. Type yes to go on: ", for: "yes")
        } else {
            let what = stick.serial == nil ? "name (\(stick.name))" : "serial (shown above)"
            try ask("\(device) is not removable. All of this will be lost. Type its \(what): ", for: stick.proof)
        }
    }

    private func ask(_ question: String, for answer: String) throws {
        try? Files.writeAll(Array(question.utf8), to: STDERR_FILENO)
        guard readLine(strippingNewline: true) == answer else { throw NotConfirmed() }
    }
}

/// The user did not confirm.
struct NotConfirmed: Error, CustomStringConvertible, Advising {
    var description: String { "not confirmed" }
    var advice: [String] { ["Nothing was written."] }
}
