// Programs that read or write more than fits into memory.

import Glibc
import SystemPackage

extension Command {
    /// Runs to the end, from one open file into another; anything but exit status 0 is thrown with what it said.
    ///
    /// Standard input comes from the descriptor `source`, from its position on, and standard output goes to `target`.
    public func run(from source: Int32, into target: Int32) throws(Failure) {
        let file = try resolve()
        let status: Ended
        let said: String
        do {
            let errors = try Scratch()
            let process = try spawn(file, input: source, output: target, error: errors.descriptor)
            status = try waitFor(process)
            if status == 0 { return }
            said = lastLines(try errors.contents())
        } catch {
            throw .unstartable(self, error)
        }
        throw .failed(self, status: status, said: said)
    }

    /// Runs to the end while `write` fills its standard input; anything but exit status 0 is thrown with what it said.
    ///
    /// `write` is given the pipe to write to. Where the program ends before it has read everything, writing fails with
    /// `EPIPE`: what the program said is thrown rather than that error.
    public func run(feeding write: (Int32) throws -> Void) throws {
        let file = try resolve()
        let end: (status: Ended, said: String, fault: (any Error)?)
        do throws(Errno) { end = try feed(file, write) } catch { throw Failure.unstartable(self, error) }
        guard end.status == 0 else { throw Failure.failed(self, status: end.status, said: end.said) }
        if let fault = end.fault { throw fault }
    }

    private func feed(
        _ file: String, _ write: (Int32) throws -> Void
    ) throws(Errno) -> (status: Ended, said: String, fault: (any Error)?) {
        let errors = try Scratch()
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Errno(rawValue: errno) }
        // Else the program would hold its own input open, and never see its end.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let started: Result<pid_t, Errno>
        do throws(Errno) {
            started = .success(
                try spawn(file, input: ends[0], output: errors.descriptor, error: errors.descriptor))
        } catch {
            started = .failure(error)
        }
        close(ends[0])
        if case .failure = started { close(ends[1]) }
        let process = try started.get()
        // A program that is gone is an error of the write, not our end.
        let before = signal(SIGPIPE, SIG_IGN)
        defer { signal(SIGPIPE, before) }
        var fault: (any Error)?
        do { try write(ends[1]) } catch { fault = error }
        close(ends[1])
        let status = try waitFor(process)
        return (status, lastLines(try errors.contents()), fault)
    }
}

private func lastLines(_ bytes: [UInt8]) -> String {
    String(decoding: bytes, as: UTF8.self).split(separator: "\n").suffix(4).joined(separator: "; ")
}
