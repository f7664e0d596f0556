// The last step of the initramfs: everything we hold is freed or moved, and the real root's init
// takes our place as PID 1.

import CLinux
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

public struct SwitchRoot: Equatable, Sendable {
    /// The real root, assembled.
    public var root: FilePath
    /// The real root's init, as a path inside it.
    public var program: String
    /// What follows the program's own name.
    public var arguments: [String]

    /// Where an init is looked for when the kernel command line names none; the kernel's own order,
    /// systemd's place first.
    public static let candidates = [
        "/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/sbin/init", "/etc/init", "/bin/init", "/bin/sh",
    ]

    public enum Failure: Error, CustomStringConvertible, Advising {
        case noInit([String])
        case notAnInitramfs
        case refused(step: String, Errno)

        public var description: String {
            switch self {
            case .noInit(let tried): "the root filesystem has no init; looked for \(tried.joined(separator: ", "))"
            case .notAnInitramfs: "the present root is not in RAM; it is not going to be emptied"
            case .refused(let step, let reason): "cannot \(step): \(reason)"
            }
        }

        public var advice: [String] {
            switch self {
            case .noInit: ["Name it with init=PATH, or check that the image is a whole root filesystem."]
            case .notAnInitramfs: ["Only an initramfs boots with firstlight as PID 1."]
            case .refused: []
            }
        }
    }

    /// Finds the init to run.
    ///
    /// - Parameter wanted: `init=` of the kernel command line, where given.
    public init(root: FilePath, wanted: String?, arguments: [String]) throws(Failure) {
        let tried = wanted.map { [$0] } ?? Self.candidates
        guard let program = tried.first(where: { Files.isExecutable($0, inside: root) }) else {
            throw .noInit(tried)
        }
        self.root = root
        self.program = program
        self.arguments = arguments
    }

    /// Empties the initramfs, moves the API filesystems, makes `root` the root and runs its init.
    /// Returns only by throwing.
    public func perform() throws(Failure) -> Never {
        guard Files.isInRAM("/"), let initramfs = Files.status("/") else { throw .notAnInitramfs }
        if Mounts.all().contains(where: { $0.target == "/usr" }) { try? Mounts.unmount("/usr", lazily: true) }
        for folder in ["dev", "proc", "sys", "run"] {
            let target = root.appending(folder)
            try attempt("make \(target)") { () throws(Errno) in try Files.makeFolder(target) }
            try attempt("move /\(folder) to \(target)") { () throws(Errno) in
                try Mounts.mount("/\(folder)", on: target, type: nil, flags: UInt(MS_MOVE))
            }
        }
        // Its RAM is the real root's from now on; this program's own pages stay until exec.
        Files.removeContents(of: "/", device: initramfs.st_dev)
        guard chdir(root.string) == 0 else { throw .refused(step: "enter \(root)", Errno(rawValue: errno)) }
        try attempt("move \(root) to /") { () throws(Errno) in
            try Mounts.mount(".", on: "/", type: nil, flags: UInt(MS_MOVE))
        }
        guard chroot(".") == 0, chdir("/") == 0 else {
            throw .refused(step: "change the root", Errno(rawValue: errno))
        }
        openConsole()
        var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = Self.environment.map { strdup($0) } + [nil]
        execve(program, &argv, &envp)
        throw .refused(step: "run \(program)", Errno(rawValue: errno))
    }

    /// A clean environment; `TERM` alone comes from the kernel and is what the console is.
    private static var environment: [String] {
        ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
            + (getenv("TERM").map { ["TERM=\(String(cString: $0))"] } ?? [])
    }

    private func openConsole() {
        let console = open("/dev/console", O_RDWR | O_NOCTTY)
        guard console >= 0 else { return }
        for descriptor in Int32(0)...2 where descriptor != console { dup2(console, descriptor) }
        if console > 2 { close(console) }
    }

    private func attempt(_ step: String, _ body: () throws(Errno) -> Void) throws(Failure) {
        do { try body() } catch { throw .refused(step: step, error) }
    }
}
