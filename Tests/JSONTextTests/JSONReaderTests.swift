import JSONText
import Testing

private func read(_ text: String) throws -> JSONNode { try JSONNode(parsing: Array(text.utf8)) }

private func fault(_ bytes: [UInt8], depth: Int = 512) -> String {
    do throws(JSONSyntaxError) {
        let node = try JSONNode(parsing: bytes, depth: depth)
        return "read as \(node.kind)"
    } catch {
        return "\(error.place.line):\(error.place.column): \(error.message)"
    }
}

@Suite struct JSONReading {
    @Test func everyKindOfValueIsRead() throws {
        let node = try read(#" {"a": [1, -2, true, false, null, "x"], "b": {}} "#)
        #expect(JSONValue(node) == ["a": [1, -2, true, false, nil, "x"], "b": [:]])
    }

    @Test func placesCountLinesAndCharactersFromOne() throws {
        let node = try read("{\n  \"größe\": 420,\n  \"é\": [\"ü\", 7]\n}\n")
        let members = try #require(node.members)
        #expect(members[0].keyPlace == SourcePlace(line: 2, column: 3, bytes: 4..<13))
        #expect(members[0].value.place == SourcePlace(line: 2, column: 12, bytes: 15..<18))
        let seven = try #require(members[1].value.elements?.last)
        #expect(seven.place.line == 3)
        #expect(seven.place.column == 14)
        #expect(node.place.line == 1)
        #expect(node.place.bytes == 0..<39)
    }

    @Test func escapesBecomeCharacters() throws {
        let node = try read(#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é""#)
        #expect(node.string == "a\"\\/\u{8}\u{c}\n\r\té😀é")
    }

    @Test(
        "what Go's decoder takes is taken where that is asked for",
        arguments: [
            (#"{"a": 1, "b": 2, "a": 3}"#, ["a": 3, "b": 2] as JSONValue, 1),
            (#"{"a": {"x": 1, "y": 2}, "a": {"y": 3, "z": 4}}"#, ["a": ["x": 1, "y": 3, "z": 4]], 1),
            (#"{"a": {"x": 1}, "a": null, "a": [5]}"#, ["a": [5]], 2),
            (#""\ud800""#, "\u{fffd}", 1), (#""\ud800\u0041""#, "\u{fffd}A", 1), (#""\udc00x""#, "\u{fffd}x", 1),
            (#""\ud800\ud83d\ude00""#, "\u{fffd}😀", 1),
        ] as [(String, JSONValue, Int)])
    func tolerance(text: String, value: JSONValue, notes: Int) throws {
        var tolerated: [JSONSyntaxError] = []
        #expect(JSONValue(try JSONNode(tolerantly: Array(text.utf8), tolerated: &tolerated)) == value)
        #expect(tolerated.count == notes)
        #expect(throws: JSONSyntaxError.self) { try read(text) }
    }

    @Test func eachByteOutsideUTF8IsACharacterOfItsOwn() throws {
        var tolerated: [JSONSyntaxError] = []
        let bytes = [UInt8(ascii: "\""), 0xe2, 0x82, UInt8(ascii: "x"), 0xff, 0xc3, 0xa9, UInt8(ascii: "\"")]
        let node = try JSONNode(tolerantly: bytes, tolerated: &tolerated)
        #expect(node.string == "\u{fffd}\u{fffd}x\u{fffd}é")
        #expect(tolerated.map(\.fault) == [.invalidUTF8])
    }

    @Test func manyKeysThatAreThereTwiceTakeNoTime() throws {
        let keys = (0..<40_000).map { "\"k\($0 % 20_000)\": \($0)" }.joined(separator: ",")
        var tolerated: [JSONSyntaxError] = []
        let node = try JSONNode(tolerantly: Array("{\(keys)}".utf8), tolerated: &tolerated)
        #expect(node.members?.count == 20_000 && node["k0"]?.integer == 20_000)
        #expect(tolerated.count == 1000)
    }

    @Test func oneKeyThatIsThereAgainAndAgainTakesNoTime() throws {
        let large = (0..<20_000).map { "\"k\($0)\": 0" }.joined(separator: ",")
        let text = "{\"a\": {\(large)}" + String(repeating: ",\"a\": {\"k1\": {\"x\": 1}}", count: 20_000) + "}"
        var tolerated: [JSONSyntaxError] = []
        let node = try JSONNode(tolerantly: Array(text.utf8), tolerated: &tolerated)
        #expect(node["a"]?.members?.count == 20_000 && node["a"]?["k1"]?["x"]?.integer == 1)
    }

    @Test func whatIsNoObjectEndsTheMerging() throws {
        var tolerated: [JSONSyntaxError] = []
        let text = #"{"a": {"x": 1}, "a": 2, "a": {"y": {"p": 1}}, "b": 3, "a": {"y": {"q": 2}, "z": null}}"#
        let node = try JSONNode(tolerantly: Array(text.utf8), tolerated: &tolerated)
        #expect(JSONValue(node) == ["a": ["y": ["p": 1, "q": 2], "z": nil], "b": 3])
    }

    @Test(
        "no message is as long as the text",
        arguments: ["0", "1", "x", "-", "{\"a\": 1, \"a"])
    func lengths(_ start: String) {
        let zeros = String(repeating: "0", count: 100_000)
        for text in ["\(start)\(zeros)1", "\(start)\(zeros)\": 1, \"a\(zeros)\": 2}"] {
            #expect(fault(Array(text.utf8)).utf8.count < 300)
        }
    }

    @Test(
        "integers stay exact, other numbers keep their literal",
        arguments: [
            ("9223372036854775807", JSONNode.Value.integer(.max)), ("-9223372036854775808", .integer(.min)),
            ("9223372036854775808", .number("9223372036854775808")), ("-0", .integer(0)), ("1.0", .number("1.0")),
            ("1e2", .number("1e2")), ("-0.5E-3", .number("-0.5E-3")),
        ])
    func numbers(_ text: String, _ value: JSONNode.Value) throws {
        #expect(try read(text).value == value)
    }

    @Test(
        "a fault is named with its place",
        arguments: [
            ("", "1:1: nothing here: expected a JSON value"),
            ("  \n ", "2:2: nothing here: expected a JSON value"),
            ("{\"a\": 1} x", "1:10: x after the end of the value"),
            ("{\"a\": 1} // x", "1:10: JSON has no comments"),
            ("{\n  # x\n}", "2:3: JSON has no comments"),
            ("{\"a\": 1,\n}", "1:8: a comma before }; JSON has none after the last entry"),
            ("[1, 2,]", "1:6: a comma before ]; JSON has none after the last entry"),
            ("[1 2]", "1:4: 2 where , or ] was expected"),
            ("{\"a\" 1}", "1:6: 1 where : after a key was expected"),
            ("{a: 1}", "1:2: a where a key in double quotes or } was expected"),
            ("{'a': 1}", "1:2: strings take double quotes"),
            ("['a']", "1:2: strings take double quotes"),
            ("[True]", "1:2: unknown word True; JSON knows true, false and null"),
            ("[0644]", "1:2: 0644 has a leading zero; JSON numbers are decimal: octal 0644 is 420"),
            ("[None]", "1:2: unknown word None; JSON knows true, false and null"),
            ("[089]", "1:2: a number with a leading zero; JSON numbers have none"),
            ("[1.]", "1:2: this is not a number; text takes double quotes"),
            ("[-]", "1:2: this is not a number; text takes double quotes"),
            ("[0x1F]", "1:2: this is not a number; text takes double quotes"),
            ("[+1]", "1:2: + where a value was expected"),
            ("[\"a", "1:4: the text ends inside a string that starts in line 1"),
            ("{\n\"a\": {\n", "3:1: the text ends inside an object that starts in line 2"),
            ("[[1]", "1:5: the text ends inside a list that starts in line 1"),
            ("[\"a\nb\"]", "1:4: a string ends before its closing quote; a newline inside one is written \\n"),
            ("[\"\\x\"]", "1:3: \\x is not a JSON escape"),
            ("[\"\\u12g4\"]", "1:3: \\u without four hexadecimal digits is not a JSON escape"),
            ("[\"\\ud800\"]", "1:3: half of a surrogate pair in a \\u escape"),
            ("[\"\\udc00\"]", "1:3: half of a surrogate pair in a \\u escape"),
            ("[\"\\ud800\\u0041\"]", "1:3: half of a surrogate pair in a \\u escape"),
            ("{\"a\": 1,\n \"b\": 2,\n \"a\": 3}", "3:2: the key \"a\" is there already, in line 1"),
            ("\u{feff}{}", "1:1: a byte order mark; save the file as UTF-8 without one"),
            ("[é]", "1:2: é where a value was expected"),
        ])
    func faults(_ text: String, _ message: String) {
        #expect(fault(Array(text.utf8)) == message)
    }

    @Test(
        "a value whose quotes were forgotten may be a secret, and is not quoted",
        arguments: ["hunter2", "0042", "12monkeys", "-x1", "1e5e5", "Trueish"])
    func secrets(_ text: String) {
        let message = fault(Array("{\"passwordHash\": \(text)}".utf8))
        #expect(message.hasPrefix("1:18: ") && !message.contains(text), "\(message)")
    }

    @Test func bytesOutsideUTF8AreFound() {
        #expect(fault(Array("[\"é".utf8) + [0xff, 0x22, 0x5d]) == "1:4: bytes that are not UTF-8")
        #expect(fault([0x5b, 0xff]) == "1:2: byte 255 where a value was expected")
    }

    @Test func nestingHasALimit() {
        #expect(fault(Array("[[[]]]".utf8), depth: 3) == "read as a list")
        #expect(fault(Array("[[[[]]]]".utf8), depth: 3) == "1:4: nested more than 3 deep")
        let bomb = [UInt8](repeating: UInt8(ascii: "["), count: 100_000)
        #expect(fault(bomb) == "1:513: nested more than 512 deep")
    }

    @Test func aKeyIsFoundTwiceInALargeObjectToo() {
        let keys = (0..<200).map { "\"k\($0)\": \($0)" } + ["\"k7\": 0"]
        let text = "{" + keys.joined(separator: ",\n") + "}"
        #expect(fault(Array(text.utf8)) == "201:1: the key \"k7\" is there already, in line 8")
    }
}

@Suite struct JSONWriting {
    private let value: JSONValue = [
        "b": 1, "a": ["x\"\\\n\u{1}é", nil, true, 1.5, [], [:]], "c": ["d": "\u{7f}/"],
    ]

    @Test func compactIsOneLineInTheOrderGiven() {
        let text = #"{"b":1,"a":["x\"\\\n\u0001é",null,true,1.5,[],{}],"c":{"d":"\#u{7f}/"}}"#
        #expect(value.text() == text)
    }

    @Test func prettyIndentsByTwoAndSortsOnDemand() {
        let text = """
            {
              "a": [
                "x\\"\\\\\\n\\u0001é",
                null,
                true,
                1.5,
                [],
                {}
              ],
              "b": 1,
              "c": {
                "d": "\u{7f}/"
              }
            }

            """
        #expect(value.text(.pretty, keys: .sorted) == text)
    }

    @Test func whatIsWrittenIsReadBack() throws {
        let every = String(String.UnicodeScalarView((0..<0x250).compactMap { Unicode.Scalar($0) }))
        let value: JSONValue = [
            "all": .string(every), "least": .integer(.min), "half": 0.5, "infinite": .number(.infinity),
        ]
        var expected = value
        expected["infinite"] = .null
        #expect(JSONValue(try read(value.text(.pretty))) == expected)
    }

    @Test func membersAreSetAndRemoved() {
        var value: JSONValue = ["a": 1]
        value["b"] = "x"
        value["a"] = nil
        #expect(value == ["b": "x"])
    }
}
