import Testing

@testable import FilePlanning

@Suite("what is there beside what was wanted") struct ContentDifferences {
    @Test(arguments: [
        ("a\nb\nc\n", "a\nx\nc\n", #"line 2 is "b", wanted "x""#),
        ("a\nb\nc\nd\n", "a\nx\ny\nd\n", #"line 2 is "b", wanted "x", and 1 more line from there on"#),
        ("a\n", "a\nb\nc\nd", #"line 2 is "", wanted "b", and 2 more lines from there on"#),
        ("a\nb\n", "a\n", #"line 2 is "b", wanted """#),
        ("a", "a\n", #"line 2 is missing, wanted """#),
        ("a\na\na\n", "a\na\n", #"line 3 is "a", wanted """#),
    ])
    func inAFewWords(here: String, wanted: String, text: String) {
        let difference = ContentDifference(here: Array(here.utf8), wanted: Array(wanted.utf8))
        #expect(difference?.description == text)
    }

    @Test func whatIsNoTextIsNotShown() {
        #expect(ContentDifference(here: [0xff, 0xfe], wanted: [0x61]) == nil)
    }
}
