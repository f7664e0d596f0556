import Testing

@testable import IgnitionCompat

@Suite("the state file")
struct IgnitionStateTests {
    private let full = """
        {"fetchedConfigs":[{"kind":"base","source":"system","referenced":false},\
        {"kind":"user","source":"qemu","referenced":false},{"kind":"user","source":"/a.ign","referenced":true}],\
        "luksPersistKeyFiles":{"a":"data:;base64,AA==","b":"data:,b"},"notatedDirectories":["/var/lib"],\
        "providerOutputFiles":[{"path":"/kvp"}],"luksPersistVolumeKeyFiles":{"x.key":"data:,"},"firstlightNodes":{"/dev/disk/by-partlabel/a":"/dev/vda1"}}

        """

    @Test func whatIsReadIsWrittenAgain() throws {
        let state = try IgnitionState(parsing: Array(full.utf8))
        #expect(state.userConfigProvided)
        #expect(state.keys?.count == 2 && state.mountFolders == ["/var/lib"])
        #expect(state.nodes == ["/dev/disk/by-partlabel/a": "/dev/vda1"])
        #expect(state.text == full)
    }

    @Test func anEmptyStateHasEveryKey() throws {
        let text = """
            {"fetchedConfigs":null,"luksPersistKeyFiles":null,"notatedDirectories":null,"providerOutputFiles":null,\
            "luksPersistVolumeKeyFiles":null}

            """
        #expect(IgnitionState().text == text)
        #expect(try IgnitionState(parsing: Array(text.utf8)) == IgnitionState())
        #expect(try IgnitionState(parsing: Array("{}".utf8)) == IgnitionState())
        #expect(!IgnitionState().userConfigProvided)
    }

    @Test(arguments: [
        "", "{", "[]", "null", #"{"fetchedConfigs":{}}"#, #"{"fetchedConfigs":[{"kind":"other"}]}"#,
        #"{"luksPersistKeyFiles":{"a":1}}"#, #"{"notatedDirectories":"x"}"#,
    ])
    func whatIsNoState(text: String) {
        #expect(throws: (any Error).self) { try IgnitionState(parsing: Array(text.utf8)) }
    }
}

@Suite struct JournalEntries {
    @Test("a value with a newline goes after its length")
    func fields() {
        let bytes = journalEntry([("A", "b=c"), ("D", "e\nf")])
        #expect(bytes == Array("A=b=c\nD\n".utf8) + [3, 0, 0, 0, 0, 0, 0, 0] + Array("e\nf\n".utf8))
    }

    @Test("levels are nine characters and a colon")
    func words() {
        #expect(IgnitionLog.Level.allCases.map(\.word).allSatisfy { $0.utf8.count == 10 && $0.hasSuffix(":") })
        #expect(IgnitionLog.Level.info.word == "INFO     :")
    }
}
