// Files and folders for the tests of this target.

import KernelModules
import LinuxSystem
import SystemPackage

@testable import InitramfsImage

/// Fixtures/initramfs
let fixtures = FilePath(#filePath).removingLastComponent().appending("../../Fixtures/initramfs").lexicallyNormalized()

func moduleIndex() throws -> KernelModuleIndex {
    let folder = fixtures.appending("modules")
    return KernelModuleIndex(
        dependencies: try Files.read(folder.appending("modules.dep")),
        aliases: try Files.read(folder.appending("modules.alias")),
        softDependencies: try Files.read(folder.appending("modules.softdep")),
        builtin: try Files.read(folder.appending("modules.builtin")))
}

/// A 64-bit little-endian x86-64 ELF file of one page: headers, dynamic section, strings.
func elf(interpreter: String? = nil, needed: [String] = [], runpath: String? = nil) -> [UInt8] {
    func number(_ value: Int, _ width: Int) -> [UInt8] {
        (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    func segment(_ type: Int, offset: Int, address: Int, size: Int) -> [UInt8] {
        number(type, 4) + number(4, 4) + number(offset, 8) + number(address, 8) + number(address, 8)
            + number(size, 8) + number(size, 8) + number(1, 8)
    }
    // Where it is loaded differs from where it lies in the file.
    let base = 0x40_0000
    var strings: [UInt8] = [0]
    func place(_ text: String) -> Int {
        defer { strings += Array(text.utf8) + [0] }
        return strings.count
    }
    let stringsOffset = 1024
    let dynamicOffset = 512
    var dynamic: [UInt8] = []
    for name in needed { dynamic += number(1, 8) + number(place(name), 8) }
    if let runpath { dynamic += number(29, 8) + number(place(runpath), 8) }
    let interpreterPlace = interpreter.map(place)
    dynamic += number(5, 8) + number(base + stringsOffset, 8) + number(0, 16)

    var segments = [segment(1, offset: 0, address: base, size: 4096)]
    if let interpreterPlace, let interpreter {
        segments.append(
            segment(3, offset: stringsOffset + interpreterPlace, address: 0, size: interpreter.utf8.count + 1))
    }
    if !needed.isEmpty {
        segments.append(segment(2, offset: dynamicOffset, address: base + dynamicOffset, size: dynamic.count))
    }
    var bytes: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
    bytes += number(2, 2) + number(62, 2) + number(1, 4) + number(0, 8) + number(64, 8) + number(0, 8)
    bytes += number(0, 4) + number(64, 2) + number(56, 2) + number(segments.count, 2) + number(0, 6)
    bytes += segments.joined()
    bytes += [UInt8](repeating: 0, count: dynamicOffset - bytes.count) + dynamic
    bytes += [UInt8](repeating: 0, count: stringsOffset - bytes.count) + strings
    return bytes + [UInt8](repeating: 0, count: 4096 - bytes.count)
}

/// A module with the information that `modinfo` prints.
func moduleWith(_ information: [String]) -> [UInt8] {
    func number(_ value: Int, _ width: Int) -> [UInt8] {
        (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    let names = Array("\0.modinfo\0.shstrtab\0".utf8)
    let texts: [UInt8] = information.flatMap { Array($0.utf8) + [0] }
    func section(_ name: Int, offset: Int, size: Int) -> [UInt8] {
        number(name, 4) + number(1, 4) + number(0, 16) + number(offset, 8) + number(size, 8) + number(0, 24)
    }
    var bytes: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
    bytes += number(1, 2) + number(62, 2) + number(1, 4) + number(0, 16)
    bytes += number(64 + names.count + texts.count, 8) + number(0, 4) + number(64, 2) + number(0, 4)
    bytes += number(64, 2) + number(3, 2) + number(2, 2)
    bytes += names + texts + [UInt8](repeating: 0, count: 64)
    bytes += section(1, offset: 64 + names.count, size: texts.count)
    return bytes + section(10, offset: 64, size: names.count)
}

func moduleAsking(for firmware: [String]) -> [UInt8] { moduleWith(firmware.map { "firmware=\($0)" }) }

/// The first bytes of a squashfs of `count` bytes, and zeros.
func squashfs(_ count: Int) -> [UInt8] {
    var bytes = Array("hsqs".utf8) + [UInt8](repeating: 0, count: count - 4)
    for index in 0..<8 { bytes[40 + index] = UInt8(truncatingIfNeeded: count >> (8 * index)) }
    return bytes
}

extension TemporaryFolder {
    /// Writes a file, and the folders above it.
    @discardableResult
    func file(_ name: String, _ bytes: [UInt8], mode: UInt32 = 0o644) throws -> FilePath {
        let file = path.appending(name)
        try Files.makeFolder(file.removingLastComponent())
        try Files.write(bytes, to: file, mode: mode)
        return file
    }
}
