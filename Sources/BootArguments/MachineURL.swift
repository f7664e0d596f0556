// URLs of the command line that name the machine: `${uuid}` and the like stand for its own values.

import Encoding
import Reporting

/// A value that tells one machine from another, by its name in a URL.
public enum MachineValue: String, CaseIterable, Sendable {
    case uuid, mac, serial, hostname

    /// As a URL has it: `${uuid}`.
    public var place: String { "${\(rawValue)}" }

    /// Whether the firmware tells it, so that it is known before there is a network.
    public var isOfFirmware: Bool {
        switch self {
        case .uuid, .serial: true
        case .mac, .hostname: false
        }
    }
}

/// A URL with places that a machine's own values go to.
///
/// `${NAME}` is such a place behind the server's name; a value may not choose the server. A `data:` URL, which is its
/// own content, has none. Nothing is fetched from it before ``filled(by:)`` has made a URL of it.
public struct MachineURL: Equatable, Sendable, CustomStringConvertible {
    /// What is wrong with a place.
    public enum Fault: Error, Equatable, Sendable, CustomStringConvertible {
        case unknown(String)
        case unclosed
        case inHost

        /// What is wrong, for a message.
        public var description: String {
            let known = MachineValue.allCases.map(\.place).joined(separator: ", ")
            switch self {
            case .unknown(let name):
                // Whatever else stands between braces may be a secret.
                let isName = !name.isEmpty && name.utf8.count <= 32 && name.utf8.allSatisfy(Self.isOfName)
                guard isName else { return "a ${...} in it is not one of \(known)" }
                let near = nearest(to: name.lowercased(), in: MachineValue.allCases.map(\.rawValue))
                return "${\(name)} is not known; " + (near.map { "did you mean ${\($0)}?" } ?? "known: \(known)")
            case .unclosed: return "a ${ in it has no closing }"
            case .inHost: return "a ${...} is in the server's name, and may only follow it"
            }
        }

        private static func isOfName(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: ":"), UInt8(ascii: "/"):
                true
            default: false
            }
        }
    }

    private enum Part: Equatable, Sendable {
        case text(String)
        case value(MachineValue)
    }

    /// The URL with its places unfilled, for callers that know no such places or need nothing but its server.
    public let asWritten: SourceURL
    /// What is wrong with a place; `nil`: nothing.
    public let fault: Fault?
    private let parts: [Part]

    /// Finds the places.
    public init(_ url: SourceURL) {
        asWritten = url
        do throws(Fault) {
            parts = try Self.parts(of: url)
            fault = nil
        } catch {
            parts = []
            fault = error
        }
    }

    private static func parts(of url: SourceURL) throws(Fault) -> [Part] {
        if url.isData { return [.text(url.text)] }
        if let authority = url.authority, place(in: Substring(authority).unicodeScalars) != nil { throw .inHost }
        // By scalars: for Swift, a brace and a combining mark behind it are one character.
        var rest = Substring(url.text).unicodeScalars
        var parts: [Part] = []
        var text = ""
        while let start = place(in: rest) {
            text += String(rest[..<start])
            let inner = rest[start...].dropFirst(2)
            guard let end = inner.firstIndex(of: "}") else { throw .unclosed }
            let name = String(inner[..<end])
            guard let value = MachineValue(rawValue: name) else { throw .unknown(name) }
            parts += [.text(text), .value(value)]
            text = ""
            rest = inner[end...].dropFirst()
        }
        return parts + [.text(text + String(rest))]
    }

    /// The URL for a message or a log.
    public var description: String { asWritten.description }

    /// The values that it asks for, each once.
    public var values: [MachineValue] {
        MachineValue.allCases.filter { parts.contains(.value($0)) }
    }

    /// The URL with the values in their places, percent-encoded but for RFC 3986's unreserved characters.
    ///
    /// - Throws: What `value` throws.
    public func filled<Failure: Error>(
        by value: (MachineValue) throws(Failure) -> String
    ) throws(Failure) -> SourceURL {
        if values.isEmpty { return asWritten }
        var url = ""
        for part in parts {
            switch part {
            case .text(let text): url += text
            case .value(let wanted): url += percentEncoded(try value(wanted))
            }
        }
        // A value in a place does not change whether the whole is a URL: it is one if the template is one.
        return (try? SourceURL(parsing: url)) ?? asWritten
    }

    private static func place(in text: Substring.UnicodeScalarView) -> String.Index? {
        var index = text.startIndex
        while let dollar = text[index...].firstIndex(of: "$") {
            index = text.index(after: dollar)
            if index < text.endIndex, text[index] == "{" { return dollar }
        }
        return nil
    }
}

extension BootArguments {
    /// The URLs that may name the machine, each with its key.
    public var machineURLs: [(key: String, url: MachineURL)] {
        rootfsURLs.map { (Self.rootfsKey, $0) } + fallbackURLs.map { (Self.fallbackKey, $0) }
            + (configURL.map { [(Self.configKey, $0)] } ?? []) + (reportURL.map { [(Self.reportKey, $0)] } ?? [])
    }

    /// The key of ``rootfsURLs``.
    public static let rootfsKey = "coreos.live.rootfs_url"
    /// The key of ``fallbackURLs``.
    public static let fallbackKey = "firstlight.fallback_url"
    /// The key of ``configURL``.
    public static let configKey = "ignition.config.url"
    /// The key of ``reportURL``.
    public static let reportKey = "firstlight.report_url"
    /// The argument of the proxy.
    static let proxyKey = "firstlight.proxy"

    /// A mistyped value would make every machine ask for the same URL.
    mutating func checkMachineURLs() {
        for (key, url) in machineURLs {
            guard let fault = url.fault else { continue }
            problems.append(
                ArgumentProblem(
                    .boot, "\(key)=\(url)", "\(fault)", advice: ["Where a URL is to have ${ itself, write %24%7B."]))
        }
    }
}
