import Encoding
import Fetching
import IgnitionConfig
import Testing

@testable import ProvisioningEngine

@Suite struct ConfigRenderingTests {
    /// Configs by their URLs; what was put in force, and what was warned of.
    private final class Web {
        var pages: [String: String] = [:]
        var asked: [String] = []
        var adopted: [Int?] = []
        var warnings: [String] = []

        func render(_ text: String) throws -> IgnitionConfig? { try render(parse(text)) }

        func render(_ config: IgnitionConfig) throws -> IgnitionConfig? {
            try ConfigRendering(
                fetch: {
                    self.asked.append($0.source?.text ?? "")
                    return Array((self.pages[$0.source?.text ?? ""] ?? "").utf8)
                },
                adopt: { self.adopted.append($0.ignition.timeouts.httpTotal) }, warn: { self.warnings.append($0) }
            ).render(config)
        }

        func parse(_ text: String) throws -> IgnitionConfig {
            try IgnitionConfig.parse(Array(text.utf8), name: "config.ign").checked()
        }
    }

    private func config(_ ignition: String = "", file: String? = nil) -> String {
        let storage = file.map { #", "storage": {"files": [{"path": "/\#($0)"}]}"# } ?? ""
        return #"{"ignition": {"version": "3.4.0"\#(ignition.isEmpty ? "" : ", " + ignition)}\#(storage)}"#
    }

    private func merging(_ urls: String...) -> String {
        let list = urls.map { #"{"source": "http://h/\#($0)"}"# }.joined(separator: ", ")
        return #""config": {"merge": [\#(list)]}"#
    }

    @Test("children are merged in order, each with its own children first")
    func order() throws {
        let web = Web()
        web.pages = [
            "http://h/a": config(merging("c"), file: "a"), "http://h/b": config(file: "b"),
            "http://h/c": config(file: "c"),
        ]
        let whole = try web.render(config(merging("a", "b"), file: "own"))
        #expect(web.asked == ["http://h/a", "http://h/c", "http://h/b"])
        #expect(whole?.storage.files.map(\.path) == ["/own", "/a", "/c", "/b"])
    }

    @Test("what an older config leaves out may stand in one that is merged")
    func incomplete() throws {
        func older(_ ignition: String = "") -> String {
            #"{"ignition": {"version": "3.2.0"\#(ignition)}, "storage": {"links": [{"path": "/l"}]}}"#
        }
        let whole = #"{"ignition": {"version": "3.3.0"}, "storage": {"links": [{"path": "/l", "target": "/t"}]}}"#
        let web = Web()
        web.pages = ["http://h/whole": whole, "http://h/older": older()]
        #expect(try web.render(older(", " + merging("whole")))?.storage.links.map(\.target) == ["/t"])
        #expect(try web.render(older(", " + merging("older", "whole")))?.storage.links.map(\.target) == ["/t"])
        #expect(throws: InvalidConfig.self) { try web.parse(older()) }
    }

    @Test("a replacement is all there is, its own references included")
    func replacement() throws {
        let web = Web()
        web.pages = ["http://h/r": config(merging("m"), file: "r"), "http://h/m": config(file: "m")]
        let whole = try web.render(
            config(
                #""config": {"replace": {"source": "http://h/r"}, "merge": [{"source": "http://h/x"}]}"#, file: "own"))
        #expect(whole?.storage.files.map(\.path) == ["/r", "/m"])
        #expect(web.asked == ["http://h/r", "http://h/m"])
    }

    @Test("a child's settings are in force for what it refers to, on top of its parent's")
    func settings() throws {
        let web = Web()
        web.pages = [
            "http://h/a": config(#""timeouts": {"httpTotal": 7}, "# + merging("b")), "http://h/b": config(),
        ]
        _ = try web.render(config(#""timeouts": {"httpTotal": 3}, "# + merging("a")))
        #expect(web.adopted == [7, 7])
    }

    @Test("an empty config empties the whole, and is told")
    func empty() throws {
        let web = Web()
        #expect(try web.render(config(merging("a"), file: "own")) == nil)
        #expect(web.warnings.count == 1 && web.warnings[0].hasPrefix("http://h/a is empty"))
    }

    @Test("a config in a data: URL is named for that, in whatever case its scheme is", arguments: ["data", "DATA"])
    func dataURLs(scheme: String) throws {
        let web = Web()
        web.pages["\(scheme):,x"] = "{"
        var config = try web.parse(config())
        config.ignition.config.merge = [IgnitionConfig.Resource(source: ConfigURL("\(scheme):,x"))]
        #expect { _ = try web.render(config) } throws: { "\($0)".contains("config in the config") }
    }

    @Test("a circle and a mistake are named with the way that leads to them")
    func faults() throws {
        let web = Web()
        web.pages = ["http://h/a": config(merging("b")), "http://h/b": config(merging("a")), "http://h/c": "{"]
        do {
            _ = try web.render(config(merging("a")))
            Issue.record("no end")
        } catch {
            let text = "\(error)"
            #expect(text.contains("http://h/a refers to itself"), "\(text)")
        }
        #expect(throws: (any Error).self) { try web.render(config(merging("c"))) }
    }
}
