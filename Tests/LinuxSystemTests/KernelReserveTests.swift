import Foundation
import SystemPackage
import Testing

@testable import LinuxSystem

@Suite("the RAM that the kernel keeps free")
struct KernelReserveTests {
    private let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)

    /// Runs `body` with a reserve, its settings and the record.
    ///
    /// What is written over a value has its length: nothing is cut off, since the kernel's files need not be.
    private func with(
        _ free: String = "9999",
        body: (KernelReserve, _ free: FilePath, _ ratios: FilePath, _ record: FilePath) throws -> Void
    ) throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let settings = FilePath(folder.path)
        let setting = settings.appending("min_free_kbytes")
        let ratios = settings.appending("lowmem_reserve_ratio")
        try Files.write("\(free)\n", to: setting)
        try Files.write("1\t256\t32\t0\t0\n", to: ratios)
        let record = settings.appending("record")
        try body(KernelReserve(settings: settings, record: record), setting, ratios, record)
    }

    @Test(
        "without huge pages Linux keeps the square root of 16 times the RAM, in KiB",
        arguments: [(UInt64(1 << 30), UInt64(4096)), (4 << 30, 8192), (256 << 20, 2048), (0, 0)])
    func least(memory: UInt64, kibibytes: UInt64) { #expect(KernelReserve.least(ofMemory: memory) == kibibytes) }

    @Test func loweredAndPutBack() throws {
        try with { reserve, setting, ratios, record in
            #expect(
                reserve.lower(ofMemory: 1 << 30, commandLine: "quiet")
                    == KernelReserve.Change(from: 9999 << 10, to: 4096 << 10))
            #expect(Files.line(setting) == "4096")
            #expect(Files.line(ratios) == "0 256 32 0 0")
            // It is low, and what it was is not forgotten for what it is.
            #expect(reserve.lower(ofMemory: 1 << 30, commandLine: "quiet") == nil)
            reserve.restore()
            #expect(Files.line(setting) == "9999")
            #expect(Files.line(ratios) == "1\t256\t32\t0\t0")
            #expect(!Files.exists(record))
            // Whatever it is by then is not touched again.
            try Files.write("7000\n", to: setting)
            reserve.restore()
            #expect(Files.line(setting) == "7000")
        }
    }

    @Test("what was before the first time is put back, also after another change")
    func loweredTwice() throws {
        try with { reserve, setting, _, _ in
            #expect(reserve.lower(ofMemory: 1 << 30, commandLine: "") != nil)
            try Files.write("8000\n", to: setting)
            #expect(reserve.lower(ofMemory: 1 << 30, commandLine: "") != nil)
            reserve.restore()
            #expect(Files.line(setting) == "9999")
        }
    }

    @Test(
        "whoever has chosen a setting is obeyed",
        arguments: ["sysctl.vm.min_free_kbytes=9999", "sysctl.vm.lowmem_reserve_ratio=1"])
    func chosen(word: String) throws {
        try with { reserve, setting, _, record in
            #expect(reserve.lower(ofMemory: 1 << 30, commandLine: word) == nil)
            #expect(Files.line(setting) == "9999" && !Files.exists(record))
        }
    }

    @Test func whatIsLowStaysAsItIs() throws {
        try with("4000") { reserve, setting, _, record in
            #expect(reserve.lower(ofMemory: 1 << 30, commandLine: "") == nil)
            #expect(Files.line(setting) == "4000" && !Files.exists(record))
        }
    }

    @Test("what processors hold of free pages can be had, too")
    func held() {
        let zones = """
            Node 0, zone    DMA32
              pages free     261000
                    min      11108
              pagesets
                cpu: 0
                          count: 6164
                          high:  13885
                          batch: 63
                cpu: 1
                          count: 36
              vm stats threshold: 24
                  nr_free_pages count 5
            """
        #expect(Machine.heldPages(inZones: zones) == 6200)
        #expect((Machine.availableMemory() ?? 0) >= 1 << 20)
    }
}
