import DiskPlanning
import Glibc
import IgnitionConfig
import Reporting
import SystemPackage
import Testing

@testable import BlockDevices

@Suite struct Mounting {
    @Test(
        "what mount(2) says is damage only where it means damage",
        arguments: [
            (0, true, nil), (EBUSY, true, nil), (ENODEV, false, nil), (ENODEV, true, .noDriver(format: "xfs")),
            (EUCLEAN, true, .damaged(reason: "\(Errno(rawValue: EUCLEAN))")),
            (EINVAL, true, .damaged(reason: "\(Errno.invalidArgument)")),
            (EIO, true, .failed(reason: "\(Errno.ioError)")),
            (ENOMEM, false, .failed(reason: "\(Errno.noMemory)")),
        ] as [(CInt, Bool, MountRefusal?)])
    func refusals(status: CInt, isMountedLater: Bool, expected: MountRefusal?) {
        #expect(MountRefusal(status: status, format: "xfs", isMountedLater: isMountedLater) == expected)
    }

    private func mounts(_ paths: String...) throws -> [PlannedMount] {
        let entries = paths.enumerated().map { number, path in
            "{\"device\": \"/dev/vd\(number)\", \"format\": \"ext4\", \"path\": \"\(path)\"}"
        }
        return try storage("{\"filesystems\": [\(entries.joined(separator: ", "))]}").mounts
    }

    @Test(
        "a mount that fails does not stay mounted, however late it fails",
        arguments: [(true, ["/a", "/b"]), (false, ["/a"])])
    func late(isLate: Bool, expected: [String]) throws {
        let wanted = try mounts("/a", "/b", "/c")
        var undone: [String] = []
        var tried: [String] = []
        do throws(BootFailure) {
            try FilesystemMounts.inTurn(wanted) { mount, isMounted in
                tried.append(mount.path)
                if mount.path != "/b" || isLate { isMounted(mount.path) }
                if mount.path == "/b" { throw MountFailure.cannotOpen("/b", .ioError) }
            } undo: { paths throws(BootFailure) in
                undone = paths
                throw BootFailure(steps: ["unmounting"], cause: MountFailure.cannotUnmount("/b", .resourceBusy))
            }
            Issue.record("it did not fail")
        } catch {
            #expect("\(error.cause)" == "cannot open /b: \(Errno.ioError)" && error.steps.count == 1)
        }
        #expect(undone == expected && tried == ["/a", "/b"])
    }
}
