// A program that runs in the background.

import CLinux
import Glibc
import Synchronization
import SystemPackage

extension Command {
    /// Starts the program without waiting for it; its output goes to `output`, or to `/dev/null` for -1.
    public func start(output: Int32 = -1) throws(Failure) -> RunningProgram {
        let file = try resolve()
        do {
            return try RunningProgram(process: spawn(file, input: -1, output: output, error: output))
        } catch {
            throw .unstartable(self, error)
        }
    }
}

/// A program started by ``Command/start(output:)``; it is killed when the value goes away.
public final class RunningProgram: Sendable {
    private let process: pid_t
    /// A descriptor that becomes readable when the program ends; -1 if the kernel has none.
    public let handle: Int32
    private let status = Mutex<Int32?>(nil)

    init(process: pid_t) {
        self.process = process
        handle = max(-1, firstlight_process_handle(process))
    }

    /// The exit status (128 + the signal if a signal ended the program, -1 if it is lost); `nil` while it runs.
    public func exitStatus() -> Int32? {
        status.withLock { status in
            if status == nil {
                var raw: Int32 = 0
                let result = waitpid(process, &raw, WNOHANG)
                if result == process {
                    status = Ended(waited: raw).shellStatus
                } else if result < 0, errno == ECHILD {
                    // Other code has waited for it, and its status is lost: that is not a success.
                    status = -1
                }
            }
            return status
        }
    }

    /// Kills the program and waits until it has ended.
    public func end() {
        guard exitStatus() == nil else { return }
        kill(process, SIGKILL)
        let last = (try? waitFor(process)) ?? .signal(SIGKILL)
        status.withLock { $0 = last.shellStatus }
    }

    deinit {
        end()
        if handle >= 0 { close(handle) }
    }
}

/// Waits at most `milliseconds` until one of the descriptors is readable; returns whether one is.
///
/// Negative descriptors are ignored.
@discardableResult
public func waitForAny(_ descriptors: [Int32], milliseconds: Int32) -> Bool {
    firstlight_wait_any(descriptors, descriptors.count, milliseconds) > 0
}
