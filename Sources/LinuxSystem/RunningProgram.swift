// A program that runs beside us.

import CLinux
import Glibc
import SystemPackage

extension Command {
    /// Starts the program and does not wait for it. Its output goes to `/dev/null`, or to `output`.
    public func start(output: Int32 = -1) throws(Failure) -> RunningProgram {
        let file = try resolve()
        do {
            return try RunningProgram(process: spawn(file, input: -1, output: output, error: output))
        } catch {
            throw .unstartable(self, error)
        }
    }
}

/// A program started by ``Command/start(output:)``; it is ended when nobody holds it any more.
public final class RunningProgram {
    private let process: pid_t
    /// Becomes readable when the program ends; -1 where the kernel has no such descriptor.
    public let handle: Int32
    private var status: Int32?

    init(process: pid_t) {
        self.process = process
        handle = max(-1, firstlight_process_handle(process))
    }

    /// Its exit status (128 + signal where a signal ended it), or `nil` while it runs.
    public func exitStatus() -> Int32? {
        if status == nil {
            var raw: Int32 = 0
            let result = waitpid(process, &raw, WNOHANG)
            if result == process {
                status = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f)
            } else if result < 0, errno == ECHILD {
                // Somebody else has waited for it.
                status = 0
            }
        }
        return status
    }

    /// Ends it, and waits until it has ended.
    public func end() {
        guard exitStatus() == nil else { return }
        kill(process, SIGKILL)
        status = (try? waitFor(process)) ?? 128 + SIGKILL
    }

    deinit {
        end()
        if handle >= 0 { close(handle) }
    }
}

/// Waits until one of the descriptors is readable, at most `milliseconds`; says whether one is.
/// Negative ones are passed over.
@discardableResult
public func waitForAny(_ descriptors: [Int32], milliseconds: Int32) -> Bool {
    firstlight_wait_any(descriptors, descriptors.count, milliseconds) > 0
}
