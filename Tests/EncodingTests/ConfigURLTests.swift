import Testing

@testable import Encoding

@Suite("a URL of a config")
struct ConfigURLTests {
    @Test(
        "is kept as it was written, also where it is none", arguments: ["http://a/b?c", "data:,x", "a b", "", "x://%"])
    func kept(text: String) throws {
        let url = ConfigURL(text)
        #expect(url.text == text && url.isEmpty == text.isEmpty)
        #expect(url.url == (try? SourceURL(parsing: text)))
        guard let given = url.url else {
            #expect(throws: SourceURL.Fault.self) { try url.get() }
            return
        }
        #expect(try url.get() == given)
    }

    @Test(
        "is shown without its secrets",
        arguments: ["http://u:SECRET@h/x?SECRET", "data:,SECRET", "http://u:SECRET@h/%", "u:SECRET@h"])
    func shown(text: String) { #expect(!"\(ConfigURL(text))".contains("SECRET")) }
}
