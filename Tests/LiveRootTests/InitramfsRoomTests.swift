import Testing

@testable import LiveRoot

private let mebibyte: UInt64 = 1 << 20

@Suite("room for the initramfs") struct InitramfsRooms {
    /// A machine of `memory` MiB into which 160 MiB were loaded.
    private func room(_ memory: UInt64, free: UInt64 = 0) -> InitramfsRoom {
        var room = InitramfsRoom(
            memory: memory * mebibyte, managed: (memory - 60) * mebibyte, available: 100 * mebibyte)
        room.archives = 160 * mebibyte
        room.growth = 24 * mebibyte
        room.capacity = (memory - 60 - 160) / 2 * mebibyte
        room.free = free
        return room
    }

    @Test func roomEnoughIsNoShortage() throws {
        try room(640, free: 20 * mebibyte).check()
        #expect(room(640, free: 20 * mebibyte).complaint == nil)
        var unlimited = room(320)
        unlimited.capacity = nil
        unlimited.free = nil
        try unlimited.check()
    }

    @Test func whatWasCutOffIsToldWithBothFigures() throws {
        let error = #expect(throws: InitramfsRoom.Shortage.self) { try room(320).check() }
        #expect(
            error.map { "\($0)" } == "too little RAM: this machine has 320 MiB, and what was loaded with the initramfs "
                + "needs 609 MiB; the kernel has cut it off")
        #expect(
            error?.advice == [
                "Give the machine 289 MiB more RAM.",
                "Or add rootfstype=ramfs to the kernel command line: then 444 MiB suffice.",
                "Or do not load the root image; let it be fetched: coreos.live.rootfs_url=URL",
            ])
    }

    @Test("with what is asked for it fits", arguments: [240, 320, 450, 500])
    func theFigureIsTrue(memory: UInt64) {
        let needed = room(memory).neededMemory / mebibyte
        let unpacked = 160 + 24
        #expect((needed - 60 - 160) / 2 >= unpacked)
        // And not wastefully more.
        #expect((needed - 60 - 160) / 2 <= unpacked + 16)
    }

    @Test func withoutTheLogTheFilesTell() {
        var room = room(320)
        room.archives = nil
        room.missing = 90 * mebibyte
        #expect(room.neededWithoutLimit == nil)
        #expect(room.neededMemory == (320 + 198) * mebibyte)
        #expect(InitramfsRoom.Shortage.initramfsCutOff(room).advice.count == 2)
    }

    @Test func damagedHeadersMayAskForAnything() {
        var room = room(320)
        room.archives = nil
        for _ in 0..<20 { room.addMissing(1 << 60) }
        room.addMissing(.max)
        #expect(room.neededMemory > 1 << 60)
    }

    @Test func littleLeftIsAShortageToo() {
        var room = room(640, free: 20 * mebibyte)
        room.available = 9 * mebibyte
        let error = #expect(throws: InitramfsRoom.Shortage.self) { try room.check() }
        #expect(error.map { "\($0)" } == "too little RAM: of 640 MiB only 9 MiB are left; the boot needs 665 MiB")
        #expect(room.complaint == "RAM is used up: 9 MiB of 640 MiB are free. Give the machine more.")
    }

    @Test func theKernelTellsHowMuchWasLoaded() {
        let log = "6,100,1,-;RAMDISK: [mem 0x1-0x2]\n6,391,1025,-;Freeing initrd memory: 152812K\n6,392,2,-;x"
        #expect(InitramfsRoom.loadedArchives(inLog: log) == 152_812 << 10)
        #expect(InitramfsRoom.loadedArchives(inLog: "Freeing initrd memory: xK") == nil)
        let map = """
            00000000-00000fff : Reserved
            00001000-0009fbff : System RAM
            00100000-13ffdfff : System RAM
              01000000-01c031d6 : Kernel code
            13ffe000-13ffffff : Reserved
            """
        #expect(InitramfsRoom.physicalMemory(map) == 0x9ec00 + 0x13ef_e000)
        #expect(InitramfsRoom.physicalMemory("00000000-00000000 : System RAM") == nil)
    }

    @Test func whatIsAddedIsMoreThanWhatIsMissing() {
        #expect(InitramfsRoom.added(0) == 4 * mebibyte)
        #expect(InitramfsRoom.added(100 * mebibyte) == 108 * mebibyte)
    }
}
