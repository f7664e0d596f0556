// What all kinds of live boots need beside the stages: a check of the RAM, the cleanup after a crash, the init.

import BootArguments
import LinuxSystem
import LiveRoot
import Reporting

extension LiveSession {
    // MARK: RAM

    /// Stops a boot whose initramfs the kernel could not unpack whole, or that has used up its RAM.
    public static func checkRoom() throws {
        try step("looking at what the kernel has unpacked") { try InitramfsRoom.now().check() }
    }

    /// What a failure's report adds where RAM is short, whatever has failed: that may be the cause.
    ///
    /// - Returns: `nil` where there is enough, or where the failure says so itself.
    public static func shortage(beside failure: BootFailure) -> String? {
        failure.cause is InitramfsRoom.Shortage ? nil : InitramfsRoom.now().complaint
    }

    // MARK: After a crash

    /// Gives the kernel back what it kept free, where PID 1 has dropped an image that was not all there.
    public static func restoreReserve() {
        if Mounts.room(at: RootImageRequest.usualFolder) == nil { KernelReserve.ofThisBoot.restore() }
    }

    /// Takes apart what the boot before had begun to assemble; it is assembled anew.
    public func dismantleRoot() { OverlayRoot.dismantle(provisioning.root) }

    // MARK: The end

    /// Finds the init that follows the boot; throws where the real root has none.
    public func nextInit() throws -> NextInit {
        NextInit(
            switchRoot: try SwitchRoot(
                root: provisioning.root, wanted: arguments.initProgram, arguments: arguments.initArguments))
    }
}

/// The real root's init.
public struct NextInit: Sendable {
    fileprivate let switchRoot: SwitchRoot

    /// Its path in the real root.
    public var program: String { switchRoot.program }

    /// Has PID 1 empty the initramfs and run it in the real root; ends this process.
    ///
    /// It returns only by throwing.
    public func start() throws -> Never { try switchRoot.request(watching: LiveSession.medium) }
}
