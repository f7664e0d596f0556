import Foundation
import LinuxSystem
import SystemPackage
import Testing

@Suite("the turn of who takes much RAM")
struct MemoryTurnTests {
    @Test("one has it at a time, also in other processes: it is the lock of a file")
    func alone() {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: folder) }
        let turn = MemoryTurn(FilePath(folder.path).appending("memory"))
        let inside = Monitor((now: 0, most: 0, all: 0))
        inParallel(8, limit: 8) { _ in
            turn.take {
                inside.change { $0 = ($0.now + 1, max($0.most, $0.now + 1), $0.all + 1) }
                usleep(2000)
                inside.change { $0.now -= 1 }
            }
        }
        let counts = inside.change { $0 }
        #expect(counts.now == 0 && counts.most == 1 && counts.all == 8)
    }

    @Test("a folder on which nothing is mounted has no room of its own")
    func room() {
        #expect(Mounts.room(at: "/nonexistent") == nil && Mounts.room(at: "/proc/self") == nil)
        #expect(Mounts.room(at: "/proc") != nil)
    }
}
