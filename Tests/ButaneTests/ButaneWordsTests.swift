import Butane
import Testing

@Suite struct CommandLinesOfButane {
    @Test(
        "options are written in every way",
        arguments: [
            ("in.bu -o out", "in.bu --output=out"), ("-oout", "--output=out"), ("-o=out", "--output=out"),
            ("--output out", "--output=out"), ("--output=out", "--output=out"), ("-o -", "--output=-"),
            ("-psc", "--pretty --strict --check"), ("-pd=files", "--pretty --files-dir=files"),
            ("-pdfiles", "--pretty --files-dir=files"), ("-pd files", "--pretty --files-dir=files"),
            ("-poout.ign", "--pretty --output=out.ign"), ("-rsoD", "--strict --raw --output=D"),
            ("--strict=true", "--strict"), ("--pretty=1", "--pretty"), ("--raw=T", "--raw"), ("-s=t", "--strict"),
            ("--strict --strict=false", ""), ("-s=0", ""), ("-s=F -s", "--strict"), ("-ps=FALSE", "--pretty"),
            // What follows an option is its value, whatever it looks like.
            ("-o --strict in", "--output=--strict in"), ("-d -p", "--files-dir=-p"),
            ("--set a=b=c --env=HOME", "--set=a=b=c --env=HOME"), ("--set-secret a=@f", "--set-secret=a=@f"),
            ("--color in", "--color=always in"), ("--colour=never in", "--color=never in"),
            ("-h", "--help"), ("-ph", "--pretty --help"), ("--help=false", ""), ("-V", "--version"),
            ("- in", "- in"), ("-p -- -o in", "--pretty -- -o in"), ("-o -- in", "--output=-- in"),
        ])
    func everyWay(_ written: String, _ read: String) throws {
        #expect(try ButaneWords.plain(words(written)) == words(read))
    }

    @Test("behind an equals sign a value may be empty: what a script has in --output=\"$OUT\"")
    func emptyValues() throws {
        #expect(try ButaneWords.plain(["--output=", "in"]) == ["--output", "", "in"])
        #expect(try ButaneWords.plain(["--output", "", "in"]) == ["--output", "", "in"])
        #expect(try ButaneWords.plain(["--files-dir=", "in", ""]) == ["--files-dir", "", "in", ""])
        #expect(try ButaneWords.plain(["-o", "", "in"]) == ["--output", "", "in"])
        // Behind a letter alone the equals sign is the value.
        #expect(try ButaneWords.plain(["-o="]) == ["--output=="])
    }

    @Test(
        "what is unknown or lacks its value is left to the parser, with all behind it",
        arguments: [
            ("--nothing", "--nothing"), ("--nothing=", "--nothing="), ("-px --strict", "--pretty -x --strict"),
            ("-s --generate-completion-script bash", "--strict --generate-completion-script bash"),
            ("in -o", "in --output"), ("--set", "--set"), ("---p", "---p"), ("-=p", "-=p"),
        ])
    func unknown(_ written: String, _ read: String) throws {
        #expect(try ButaneWords.plain(words(written)) == words(read))
    }

    @Test("a switch is on or off", arguments: ["--strict=", "--strict=yes", "-s=on", "--pretty=2", "--help=x"])
    func switches(_ word: String) {
        #expect(throws: ButaneWords.Fault.self) { try ButaneWords.plain([word]) }
    }

    private func words(_ text: String) -> [String] { text.split(separator: " ").map(String.init) }
}
