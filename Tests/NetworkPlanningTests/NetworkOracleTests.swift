// Our reading of command lines and keyfiles beside NetworkManager's, as Fixtures/network/record.py has recorded it.

import BootArguments
import Foundation
import Testing

@testable import NetworkPlanning

private let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures")

private struct Records: Decodable {
    /// Per command line the connections by name.
    var lines: [String: [String: String]]
    /// Per keyfile what was made of it; nothing where it was refused.
    var keyfiles: [String: String?]

    static let all: Records? = (try? Data(contentsOf: fixtures.appending(path: "oracles/network.json"))).flatMap {
        try? JSONDecoder().decode(Records.self, from: $0)
    }

    /// Where ours is meant to differ: `lines: LINE` or `keyfiles: NAME`, each below a comment that says why.
    static func differences(of kind: String) throws -> Set<String> {
        let text = try String(contentsOf: fixtures.appending(path: "network/differences.txt"), encoding: .utf8)
        let lines = text.split(separator: "\n").filter { $0.hasPrefix("\(kind): ") }
        return Set(lines.map { String($0.dropFirst(kind.count + 2)) })
    }
}

extension NetworkProfile {
    /// Without what says nothing of the connection, and with the one default that stands in each of the records.
    fileprivate var compared: NetworkProfile {
        var profile = self
        profile.origin = ""
        profile.identifiers = []
        // All of an initramfs have that.
        profile.priority = 0
        func settle(_ family: inout NetworkFamily) {
            if family.timeout == 90 { family.timeout = nil }
            if !family.isUsed {
                family = NetworkFamily(.disabled)
            } else if family.method == .manual {
                family.isAwaited = false
            }
        }
        settle(&profile.ipv4)
        settle(&profile.ipv6)
        return profile
    }
}

private func byInterface(_ profiles: [NetworkProfile]) -> [String: NetworkProfile] {
    Dictionary(profiles.map { ($0.interface?.description ?? "*", $0.compared) }, uniquingKeysWith: { $1 })
}

@Test("reads command lines as NetworkManager's generator does")
func readsLinesAsTheOriginal() throws {
    let records = try #require(Records.all).lines
    let differing = try Records.differences(of: "lines")
    #expect(records.count >= 200)
    #expect(differing.isSubset(of: records.keys), "a difference of no line")
    for (line, connections) in records {
        let arguments = BootArguments(line)
        // What it writes and cannot read itself is a difference.
        let keyfiles = connections.compactMap { try? NetworkKeyfile($1, file: $0) }
        let theirs = byInterface(NetworkProfile.joined(keyfiles).profiles)
        var own = NetworkProfile.all(of: arguments.network)
        for index in own.indices where own[index].interface == nil {
            own[index].interface = arguments.network.bootIF.map { .mac($0) }
        }
        let ours = byInterface(own)
        let isAlike = arguments.problem(in: .network) == nil && ours == theirs && keyfiles.count == connections.count
        if differing.contains(line) {
            #expect(!isAlike, "\(line): no difference any more")
        } else if !isAlike {
            let problem = arguments.problem(in: .network).map { "\($0)" } ?? ""
            func text(_ profiles: [String: NetworkProfile]) -> String {
                profiles.sorted { $0.key < $1.key }.map { $0.value.keyfile(id: $0.key) }.joined()
            }
            Issue.record("\(line)\n\(problem)\nours:\n\(text(ours))\ntheirs:\n\(text(theirs))")
        }
    }
}

@Test("reads keyfiles as NetworkManager does")
func readsKeyfilesAsTheOriginal() throws {
    let records = try #require(Records.all).keyfiles
    let differing = try Records.differences(of: "keyfiles")
    #expect(records.count >= 60)
    for (name, record) in records {
        let text = try String(contentsOf: fixtures.appending(path: "network/keyfiles/\(name)"), encoding: .utf8)
        let own = try? NetworkKeyfile(text, file: name)
        let theirs = record.flatMap { try? NetworkKeyfile($0, file: name) }
        let isAlike = own?.profile.compared == theirs?.profile.compared && own?.startsByItself == theirs?.startsByItself
        if differing.contains(name) {
            #expect(!isAlike, "\(name): no difference any more")
        } else {
            #expect(isAlike, "\(name): \(String(describing: own?.profile)) and \(String(describing: theirs?.profile))")
        }
    }
}
