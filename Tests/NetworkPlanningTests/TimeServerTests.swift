// What time servers say, and who in the real root is told of them.

import BootArguments
import Testing

@testable import NetworkPlanning

/// 2026-11-01 00:00 UTC.
private let build = 1_793_491_200
private let question = TimeQuestion(chance: [1, 2, 3, 4, 5, 6, 7, 8])

/// The answer of a server whose clock says so many seconds since 1970.
private func answer(at seconds: Int) -> [UInt8] {
    let told = seconds + 2_208_988_800
    var bytes = [UInt8](repeating: 0, count: 48)
    bytes[0] = 0x24
    bytes[1] = 2
    bytes.replaceSubrange(24..<32, with: question.bytes[40...])
    bytes.replaceSubrange(40..<44, with: (0..<4).map { UInt8(truncatingIfNeeded: told >> (24 - 8 * $0)) })
    return bytes
}

@Test("reads a time server's answer, beyond 2036 too")
func readsTime() {
    #expect(question.bytes.count == 48 && question.bytes[0] == 0x23)
    for seconds in [build, build + 1, build + 86_400 * 365, 2_085_978_497, 2_085_978_500, build + 2_000_000_000] {
        #expect(question.seconds(answer(at: seconds), notBefore: build) == seconds)
    }
    #expect(question.seconds(answer(at: build - 1), notBefore: build) == nil, "a clock behind the build's")
    #expect(question.seconds(answer(at: build), notBefore: 0) == build, "a build of no known date")
}

@Test("takes no answer that is none, that is another's, or whose server does not know")
func refusesTime() {
    let right = answer(at: build + 9)
    func refuses(_ change: (inout [UInt8]) -> Void) -> Bool {
        var bytes = right
        change(&bytes)
        return question.seconds(bytes, notBefore: build) == nil
    }
    #expect(!refuses { $0 += [9, 9, 9, 9] }, "a signature behind it")
    #expect(refuses { $0.removeLast() })
    #expect(refuses { $0[0] = 0x23 }, "a question")
    #expect(refuses { $0[0] |= 0xc0 }, "not synchronized")
    #expect(refuses { $0[1] = 0 }, "a kiss of death")
    #expect(refuses { $0[1] = 16 })
    #expect(refuses { $0[31] ^= 1 }, "an answer to somebody else")
    #expect(refuses { $0.replaceSubrange(40..<44, with: [0, 0, 0, 0]) })
    #expect(TimeQuestion().bytes != TimeQuestion().bytes)
}

@Test("tells systemd-timesyncd and chrony, each in its words and only where it has room for them")
func tellsClockKeepers() throws {
    let servers = [try #require(IPAddress("192.0.2.123")), try #require(IPAddress("2001:db8::123"))]
    var keepers = ClockKeepers()
    #expect(keepers.files(for: servers, always: true).isEmpty)
    keepers.hasTimesyncd = true
    keepers.chronyFolder = "/chrony-dhcp"
    let files = keepers.files(for: servers, always: false)
    #expect(files.map(\.path) == ["/systemd/timesyncd.conf.d/50-firstlight.conf", "/chrony-dhcp/firstlight.sources"])
    #expect(files[0].text.hasSuffix("[Time]\nNTP=192.0.2.123 2001:db8::123\n"))
    #expect(files[1].text == "server 192.0.2.123 iburst\nserver 2001:db8::123 iburst\n")
    keepers.timesyncdHasOwnServers = true
    #expect(keepers.files(for: servers, always: false).count == 1)
    #expect(keepers.files(for: servers, always: true).count == 2)
}

@Test("knows what a root's own configuration says of time servers")
func readsClockKeepers() {
    #expect(ClockKeepers.namesServers(timesyncd: "[Time]\nNTP = a.example\n"))
    #expect(!ClockKeepers.namesServers(timesyncd: "[Time]\n#NTP=a\nNTP=\nFallbackNTP=b\n"))
    func folder(_ text: String) -> String? { ClockKeepers.sourceFolder(chrony: text) }
    #expect(folder("pool a\nsourcedir /etc/chrony/sources.d\nsourcedir /run/chrony-dhcp\n") == "/chrony-dhcp")
    #expect(folder("SourceDir\t/etc/x  /var/run/chrony/sources\r\n") == "/chrony/sources")
    for text in ["", "! sourcedir /run/a\n", "#sourcedir /run/a\n", "sourcedir /run/../etc\n", "sourcedir /run\n"] {
        #expect(folder(text) == nil, "\(text)")
    }
}
