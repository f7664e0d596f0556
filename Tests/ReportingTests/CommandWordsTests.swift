import Reporting
import Testing

@Suite struct WordsOfACommandLine {
    @Test func anEmptyValueIsAWordOfItsOwn() {
        #expect(separatingEmptyValues(["plan", "--config=", "--json"]) == ["plan", "--config", "", "--json"])
        for words in [["--config=a=", "--=", "--", "--root="], ["-o=", "a=", "-", ""], []] {
            #expect(separatingEmptyValues(words) == words)
        }
    }
}
