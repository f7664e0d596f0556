// The consoles that an installed system is told to use.

/// A console of the kernel that GRUB can use too: `tty0`, `hvc0`, `ttysclp0`, or a serial one such as `ttyS0,115200n8`.
public struct ConsoleSpec: Equatable, Sendable, CustomStringConvertible {
    /// In full: `ttyS1` becomes `ttyS1,9600n8`.
    public let description: String

    /// Why a text is not a console.
    public enum Fault: Error, Equatable, Sendable, CustomStringConvertible {
        case prefix(String)
        case unknown(String)
        case number(String)

        /// The fault as a phrase for the user.
        public var description: String {
            switch self {
            case .prefix(let prefix): "spec should not start with \"\(prefix)\""
            case .unknown: "invalid or unsupported console argument"
            case .number(let what): "couldn't parse \(what)"
            }
        }
    }

    /// Reads `tty0`, `hvc0`, `ttysclp0` or `(ttyS|ttyAMA)N[,SPEED[(n|o|e)[5-8]]]`.
    public init(parsing text: String) throws(Fault) {
        for prefix in ["console=", "/dev/"] where text.hasPrefix(prefix) { throw .prefix(prefix) }
        if ["tty0", "hvc0", "ttysclp0"].contains(text) {
            description = text
            return
        }
        guard let name = ["ttyS", "ttyAMA"].first(where: text.hasPrefix) else { throw .unknown(text) }
        var rest = text.utf8.dropFirst(name.utf8.count)
        func digits() -> Substring.UTF8View {
            let run = rest.prefix { (0x30...0x39).contains($0) }
            rest = rest.dropFirst(run.count)
            return run
        }
        let port = digits()
        guard !port.isEmpty else { throw .unknown(text) }
        var speed: Substring.UTF8View?
        var (parity, bits) = ("n", "8")
        if rest.first == UInt8(ascii: ",") {
            rest = rest.dropFirst()
            let run = digits()
            guard !run.isEmpty else { throw .unknown(text) }
            speed = run
            if let letter = rest.first, "noe".utf8.contains(letter) {
                parity = String(UnicodeScalar(letter))
                rest = rest.dropFirst()
                if let digit = rest.first, "5678".utf8.contains(digit) {
                    bits = String(UnicodeScalar(digit))
                    rest = rest.dropFirst()
                }
            }
        }
        guard rest.isEmpty else { throw .unknown(text) }
        guard let port = UInt8(Substring(port)) else { throw .number("port") }
        guard let speed = speed.map({ UInt32(Substring($0)) }) ?? 9600 else { throw .number("speed") }
        description = "\(name)\(port),\(speed)\(parity)\(bits)"
    }

    /// A hint for a user who sets consoles by kernel arguments, which GRUB does not use.
    ///
    /// It is `nil` where the arguments name no console, or one that `--dest-console` does not take.
    static func hint(on arguments: [String]) -> String? {
        let given = arguments.filter { $0.hasPrefix("console=") }.map { String($0.dropFirst("console=".count)) }
        guard !given.isEmpty, given.allSatisfy({ (try? ConsoleSpec(parsing: $0)) != nil }) else { return nil }
        let better = given.map { "--dest-console \($0)" }.joined(separator: " ")
        let present = given.map { "--dest-karg-append console=\($0)" }.joined(separator: " ")
        return "Note: consider using \"\(better)\" instead of\n\"\(present)\":\n"
            + "it configures the boot loader's console as well as the kernel's."
    }
}
