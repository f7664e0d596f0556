// LinuxSystem: thin, typed access to Linux: processes, files, mounts, loop devices, kernel events.
// It decides nothing. Every failure has the errno that was read right after the call.

import CLinux
import Glibc
import Reporting
import SystemPackage

/// A program and its argument vector; no shell is involved.
public struct Command: Equatable, Sendable, CustomStringConvertible {
    /// The path, or a name that is looked up in ``searchPath`` (inside ``root`` if there is one).
    public var program: String
    /// The arguments after the program's name.
    public var arguments: [String]
    /// The whole environment, as `NAME=value`.
    public var environment: [String]
    /// The standard input; `nil` is `/dev/null`.
    public var input: [UInt8]?
    /// The root directory of the program; `nil` is that of this process.
    public var root: FilePath?

    /// The folders in which programs are looked up.
    public static let searchPath = searchPath(
        calledAs: CommandLine.arguments.first ?? "", path: getenv("PATH").map { String(cString: $0) })

    /// The folders for programs, of which PATH comes first if the program is called under Ignition's name.
    ///
    /// A distribution's units for Ignition set PATH to where its programs are.
    static func searchPath(calledAs name: String, path: String?) -> [String] {
        let usual = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/lib/firstlight/bin"]
        guard name.split(separator: "/").last?.hasPrefix("ignition") == true, let path else { return usual }
        // A relative folder would depend on the working directory.
        let given = path.split(separator: ":").filter { $0.hasPrefix("/") }.map(String.init)
        return given + usual.filter { !given.contains($0) }
    }

    /// The search path and the C locale.
    public static let defaultEnvironment = ["PATH=\(searchPath.joined(separator: ":"))", "LC_ALL=C"]

    /// Creates a command, which is not run yet.
    public init(
        _ program: String, _ arguments: [String], environment: [String] = Command.defaultEnvironment,
        input: [UInt8]? = nil, root: FilePath? = nil
    ) {
        self.program = program
        self.arguments = arguments
        self.environment = environment
        self.input = input
        self.root = root
    }

    /// The command line for messages, with quotes around arguments that are empty or have blanks.
    public var description: String {
        ([program] + arguments).map { $0.contains(" ") || $0.isEmpty ? "'\($0)'" : $0 }.joined(separator: " ")
    }

    /// What a program printed and how it ended.
    public struct Output: Sendable {
        /// The bytes of standard output.
        public var standardOutput: [UInt8]
        /// The bytes of standard error.
        public var standardError: [UInt8]
        /// How the program ended.
        public var status: Ended

        /// Creates an output.
        public init(standardOutput: [UInt8] = [], standardError: [UInt8] = [], status: Ended = 0) {
            self.standardOutput = standardOutput
            self.standardError = standardError
            self.status = status
        }

        /// The standard output as text.
        public var text: String { String(decoding: standardOutput, as: UTF8.self) }
    }

    /// Why a program did not succeed.
    public enum Failure: Error, CustomStringConvertible, Advising {
        case missing(Command)
        case unstartable(Command, Errno)
        /// The program failed; `said` has the last lines of its standard error, or of its output if that is empty.
        case failed(Command, status: Ended, said: String)
        /// The program was killed, since nobody needs any more what it does.
        case cancelled(Command)

        /// What happened, for a message.
        public var description: String {
            switch self {
            case .missing(let command):
                "\(command.program) is not here\(command.root.map { " (in \($0))" } ?? "")"
            case .unstartable(let command, let reason): "cannot run \(command.program): \(reason)"
            case .failed(let command, let status, let said):
                "\(command.program) \(status)\(said.isEmpty ? "" : ": \(said)")"
            case .cancelled(let command): "\(command.program) was ended: nobody needs it any more"
            }
        }

        /// What the operator can do.
        public var advice: [String] {
            switch self {
            case .missing(let command) where command.root == nil: ["Use an initramfs that has it."]
            case .missing: ["Use a root image that has it."]
            case .unstartable(_, .noMemory), .unstartable(_, .resourceTemporarilyUnavailable):
                ["RAM was used up: give the machine more."]
            case .unstartable: ["The initramfs is damaged, or made for another machine: make it again."]
            case .failed(_, .signal(SIGKILL), _):
                ["The kernel does that where RAM is used up, and `dmesg` says so.", "Give the machine more RAM then."]
            case .failed(_, .signal, _): ["`dmesg` may say more; the program is at fault, or damaged."]
            // What it said stands in the message.
            case .failed, .cancelled: []
            }
        }
    }

    /// Runs the program to its end and returns its output; a status other than 0 is not an error here.
    public func capture() throws(Failure) -> Output {
        let file = try resolve()
        do {
            let output = try Scratch()
            let errors = try Scratch()
            let given = try Scratch()
            if let input { try given.fill(input) }
            let process = try spawn(
                file, input: input == nil ? -1 : given.descriptor, output: output.descriptor, error: errors.descriptor)
            let status = try waitFor(process)
            return Output(
                standardOutput: try output.contents(), standardError: try errors.contents(), status: status)
        } catch {
            throw .unstartable(self, error)
        }
    }

    /// Runs the program to its end and throws its last lines if the exit status is not 0.
    @discardableResult
    public func run() throws(Failure) -> Output {
        let output = try capture()
        guard output.status == 0 else {
            let spoken = output.standardError.isEmpty ? output.standardOutput : output.standardError
            let all = String(decoding: spoken, as: UTF8.self).split(separator: "\n")
            // What is wrong stands before the usage, if that follows.
            let reasons = all.prefix { !$0.lowercased().hasPrefix("usage") }
            let lines = (reasons.isEmpty ? all[...] : reasons).suffix(4)
            throw .failed(self, status: output.status, said: lines.joined(separator: "; "))
        }
        return output
    }

    /// Runs the program to its end with a secret as its input and returns its output as another secret.
    ///
    /// Neither is ever in memory that is not wiped. An exit status other than 0 is thrown with the last lines of the
    /// standard error. Soon after `isCancelled` becomes true the program is killed, with all that it has started.
    public func run(secret: SecretBytes, unless isCancelled: () -> Bool = { false }) throws(Failure) -> SecretBytes {
        let file = try resolve()
        let status: Ended?
        let said: String
        do {
            let output = try Scratch()
            let errors = try Scratch()
            let given = try Scratch()
            try given.fill(secret)
            let process = try spawn(
                file, input: given.descriptor, output: output.descriptor, error: errors.descriptor, inOwnGroup: true)
            status = try waitFor(process, unless: isCancelled)
            if status == 0 { return try SecretBytes(contentsOf: output.descriptor) }
            said = String(decoding: try errors.contents(), as: UTF8.self)
        } catch {
            throw .unstartable(self, error)
        }
        guard let status else { throw .cancelled(self) }
        throw .failed(self, status: status, said: said.split(separator: "\n").suffix(4).joined(separator: "; "))
    }

    /// Starts the program on a terminal (an open descriptor) and waits for its end; returns how it ended.
    @discardableResult
    public func interact(terminal: Int32) throws(Failure) -> Ended {
        let file = try resolve()
        do {
            return try waitFor(
                spawn(file, input: terminal, output: terminal, error: terminal, onTerminal: true))
        } catch {
            throw .unstartable(self, error)
        }
    }

    /// Whether the program is installed and executable.
    public var isInstalled: Bool { (try? resolve()) != nil }

    func resolve() throws(Failure) -> String {
        let candidates = program.contains("/") ? [program] : Command.searchPath.map { "\($0)/\(program)" }
        // A link in that root is followed inside it.
        let isThere = { (path: String) in
            root.map { Files.isExecutable(path, inside: $0) } ?? (access(path, X_OK) == 0)
        }
        guard let found = candidates.first(where: isThere) else {
            throw .missing(self)
        }
        return found
    }

    func spawn(
        _ file: String, input: Int32, output: Int32, error: Int32, onTerminal: Bool = false, inOwnGroup: Bool = false
    ) throws(Errno) -> pid_t {
        var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { (argv + envp).forEach { free($0) } }
        let process =
            if let root {
                root.string.withCString {
                    firstlight_spawn(file, &argv, &envp, $0, input, output, error, onTerminal, inOwnGroup)
                }
            } else {
                firstlight_spawn(file, &argv, &envp, nil, input, output, error, onTerminal, inOwnGroup)
            }
        guard process > 0 else { throw Errno(rawValue: -process) }
        return process
    }
}

/// Waits for the end of a child.
func waitFor(_ process: pid_t) throws(Errno) -> Ended {
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 {
        let reason = errno
        if reason != EINTR { throw Errno(rawValue: reason) }
    }
    return Ended(waited: status)
}

/// The same for a child in a process group of its own; `nil` where `isCancelled` became true, and the group was killed.
func waitFor(_ process: pid_t, unless isCancelled: () -> Bool) throws(Errno) -> Ended? {
    let handle = firstlight_process_handle(process)
    // A kernel without such handles has nothing that wakes this at the end.
    guard handle >= 0 else { return try waitFor(process) }
    defer { close(handle) }
    while !waitForAny([handle], milliseconds: 200) {
        guard isCancelled() else { continue }
        kill(-process, SIGKILL)
        _ = try waitFor(process)
        return nil
    }
    return try waitFor(process)
}

/// An anonymous file in memory, which is closed with the value.
///
/// A pipe would block both sides when it is full.
struct Scratch: ~Copyable {
    let descriptor: Int32

    init() throws(Errno) {
        descriptor = firstlight_memory_file("firstlight")
        if descriptor < 0 { throw Errno(rawValue: -descriptor) }
    }

    deinit { close(descriptor) }

    func fill(_ bytes: [UInt8]) throws(Errno) {
        try Files.writeAll(bytes, to: descriptor)
        guard lseek(descriptor, 0, SEEK_SET) == 0 else { throw Errno(rawValue: errno) }
    }

    func fill(_ secret: SecretBytes) throws(Errno) {
        var (written, failure): (Int, Errno?) = (0, nil)
        secret.withBytes { bytes in
            while written < bytes.count, failure == nil {
                let count = write(descriptor, bytes.baseAddress?.advanced(by: written), bytes.count - written)
                if count >= 0 { written += count } else if errno != EINTR { failure = Errno(rawValue: errno) }
            }
        }
        if let failure { throw failure }
        guard lseek(descriptor, 0, SEEK_SET) == 0 else { throw Errno(rawValue: errno) }
    }

    func contents() throws(Errno) -> [UInt8] {
        guard lseek(descriptor, 0, SEEK_SET) == 0 else { throw Errno(rawValue: errno) }
        return try readAll(descriptor)
    }
}
