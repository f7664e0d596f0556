// Time servers of leases: what they are asked, and who in the real root is told of them.

import BootArguments
import Encoding

/// One question to a time server, and its answer.
///
/// - SeeAlso: RFC 4330, which is the part of NTP that a client without memory needs.
public struct TimeQuestion: Sendable {
    /// The packet: 48 bytes, of which the last 8 are random, so that only somebody who has seen it can answer.
    public let bytes: [UInt8]

    /// A question that was never asked before.
    public init() { self.init(chance: (0..<8).map { _ in UInt8.random(in: 0...255) }) }

    init(chance: [UInt8]) {
        // No warning, version 4, from a client; all else is 0.
        bytes = [0x23] + Array(repeating: 0, count: 39) + chance.prefix(8)
    }

    /// Seconds since 1970 by the server's clock; `nil`: no answer to this question, or the server does not know.
    ///
    /// The packet's 32 bits repeat every 136 years: the result is the first time that is not before `earliest`, and a
    /// time more than 68 years later does not count.
    public func seconds(_ answer: [UInt8], notBefore earliest: Int) -> Int? {
        guard answer.count >= 48, answer[0] & 7 == 4, answer[0] >> 6 != 3, (1...15).contains(answer[1]),
            answer[24..<32] == bytes[40..<48]
        else { return nil }
        let told = number(bigEndian: answer[40..<44])
        let era = 1 << 32
        // A server that has no time says nothing at all.
        guard answer[40..<48].contains(where: { $0 != 0 }) else { return nil }
        let after = ((told - 2_208_988_800 - earliest) % era + era) % era
        return after < era / 2 ? earliest + after : nil
    }
}

/// What a real root has to keep its clock by.
public struct ClockKeepers: Equatable, Sendable {
    /// Whether systemd-timesyncd is there.
    public var hasTimesyncd = false
    /// Whether its configuration names servers, beside those to fall back on.
    public var timesyncdHasOwnServers = false
    /// The folder below `/run` in which chrony looks for more servers; `nil`: there is no chrony, or it looks in none.
    public var chronyFolder: String?

    /// A root that has neither.
    public init() {}

    /// The files that name these servers, by their paths below `/run`; `always` names them beside the root's own too.
    public func files(for servers: [IPAddress], always: Bool) -> [(path: String, text: String)] {
        var files: [(path: String, text: String)] = []
        if hasTimesyncd, always || !timesyncdHasOwnServers {
            let names = servers.map(\.description).joined(separator: " ")
            files.append(
                (
                    "/systemd/timesyncd.conf.d/50-firstlight.conf",
                    "# Left by Firstlight, from a lease.\n[Time]\nNTP=\(names)\n"
                ))
        }
        if let chronyFolder {
            files.append(
                ("\(chronyFolder)/firstlight.sources", servers.map { "server \($0) iburst\n" }.joined()))
        }
        return files
    }

    /// Whether a file of timesyncd's configuration names servers.
    ///
    /// - SeeAlso: timesyncd.conf(5).
    public static func namesServers(timesyncd text: String) -> Bool {
        text.split(whereSeparator: \.isNewline).contains { line in
            let parts = line.split(separator: "=", maxSplits: 1).map { trimmed($0) }
            return parts.count == 2 && parts[0] == "NTP" && !parts[1].isEmpty
        }
    }

    /// The first of chrony's folders of sources that is below `/run`, without that.
    ///
    /// - SeeAlso: chrony.conf(5), `sourcedir`, whose names are in any case.
    public static func sourceFolder(chrony text: String) -> String? {
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard words.first?.lowercased() == "sourcedir" else { continue }
            for word in words.dropFirst() {
                let path = word.hasPrefix("/var/run/") ? word.dropFirst(4) : word
                let parts = path.split(separator: "/")
                if parts.first == "run", parts.count > 1, !parts.contains("..") {
                    return "/" + parts.dropFirst().joined(separator: "/")
                }
            }
        }
        return nil
    }
}
