import LinuxSystem
import SystemPackage
import Testing

@testable import InitramfsImage

@Suite struct ELFFiles {
    @Test func aProgramNamesItsLoaderAndLibraries() throws {
        let file = try ELFFile(
            elf(interpreter: "/lib64/ld.so", needed: ["libone.so.1", "libc.so.6"], runpath: "$ORIGIN/../lib:/opt/lib"))
        #expect(file.interpreter == "/lib64/ld.so")
        #expect(file.needed == ["libone.so.1", "libc.so.6"])
        #expect(file.searchPath == ["$ORIGIN/../lib", "/opt/lib"])
    }

    @Test func aStaticProgramAsksForNothing() throws {
        let file = try ELFFile(elf())
        #expect(file.interpreter == nil)
        #expect(file.needed.isEmpty)
    }

    @Test func aScriptIsNoELFFile() {
        #expect(throws: ELFFile.Failure.notELF) { try ELFFile(Array("#!/bin/sh\n".utf8)) }
    }

    @Test("a file cut anywhere is damaged, and never a crash", arguments: [8, 60, 100, 200, 520, 1025])
    func damage(length: Int) {
        #expect(throws: ELFFile.Failure.self) {
            try ELFFile(Array(elf(interpreter: "/lib64/ld.so", needed: ["libc.so.6"]).prefix(length)))
        }
    }

    @Test func aHugeOffsetIsDamage() {
        var bytes = elf(needed: ["libc.so.6"])
        // The place of the program headers.
        for index in 32..<40 { bytes[index] = 0xff }
        #expect(throws: ELFFile.Failure.damaged) { try ELFFile(bytes) }
    }

    @Test("no offset that a file names leads out of the numbers", arguments: [32, 520])
    func theLargestOffsetIsDamage(place: Int) {
        // The place of the program headers; where the name of the first library stands.
        var bytes = elf(needed: ["libc.so.6", "libm.so.6"])
        bytes.replaceSubrange(place..<place + 8, with: [0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])
        #expect(throws: ELFFile.Failure.damaged) { try ELFFile(bytes) }
    }

    @Test func entriesThatOverlapAreDamage() {
        var bytes = elf(interpreter: "/lib64/ld.so")
        // As many program headers as a number can say, all in one place.
        bytes.replaceSubrange(54..<58, with: [0, 0, 0xff, 0xff])
        #expect(throws: ELFFile.Failure.damaged) { try ELFFile(bytes) }
    }

    @Test func librariesAreFollowedToTheirOwnLibraries() throws {
        let folder = try TemporaryFolder()
        let program = try folder.file("program", elf(interpreter: "/lib64/ld.so", needed: ["libone.so.1", "ld.so"]))
        try folder.file("lib64/ld.so", elf())
        let one = try folder.file("usr/lib/x86_64-linux-gnu/libone.so.1", elf(needed: ["libtwo.so.2"]))
        let two = try folder.file("lib/x86_64-linux-gnu/libtwo.so.2", elf())
        let found = try SharedLibraries(root: folder.path).needed(by: [program])
        #expect(
            found == [
                "lib64/ld.so": folder.path.appending("lib64/ld.so"),
                "lib/x86_64-linux-gnu/libone.so.1": one, "lib/x86_64-linux-gnu/libtwo.so.2": two,
            ])
    }

    @Test func aMissingLibraryIsNamedWithItsProgram() throws {
        let folder = try TemporaryFolder()
        let program = try folder.file("program", elf(needed: ["libnone.so.1"]))
        let failure = #expect(throws: SharedLibraries.Failure.self) {
            try SharedLibraries(root: folder.path).needed(by: [program])
        }
        #expect(failure?.description == "\(program) needs libnone.so.1, which this system does not have")
    }
}
