// Programs that look at the target or change it: the initramfs's own, or the target's inside of it.

import Glibc
import LinuxSystem
import SystemPackage

/// Runs programs on one target.
struct TargetPrograms {
    /// Where the target is mounted.
    let root: FilePath
    let run: (Command) throws(Command.Failure) -> Command.Output

    /// Whether the image says that it is a live one, which Ignition checks before it drops an earlier result.
    var isLiveImage: Bool { (try? run(Command("is-live-image", []))) != nil }

    /// What `systemctl --version` of the target says; `nil` where it has none.
    var systemctlVersion: String? { (try? run(command("systemctl", ["--version"])))?.text }

    /// Starts a program of the target for its help only: then it is in RAM, with the libraries that it loads.
    ///
    /// That the target has none is not a failure yet.
    func read(_ program: String) { _ = try? run(command(program, ["--help"])) }

    /// Runs the initramfs's own program on the target, as Ignition does, or the target's where it has none.
    ///
    /// - Parameters:
    ///   - theirs: The target's program, which sees only the target.
    ///   - ours: The initramfs's program, whose arguments tell where the target is.
    /// - Returns: The program's output.
    /// - Throws: ``Command/Failure/missing(_:)`` where neither has it.
    func runOnTarget(_ theirs: Command, ours: Command) throws(Command.Failure) -> Command.Output {
        if root.string != "/" {
            do throws(Command.Failure) {
                return try run(ours)
            } catch {
                guard case .missing = error else { throw error }
            }
        }
        return try run(theirs)
    }

    /// A program of the target, which sees only the target.
    func command(_ program: String, _ arguments: [String], input: [UInt8]? = nil) -> Command {
        // With this, systemctl works on files only, whatever it finds at /proc and /run.
        Command(
            program, arguments, environment: Command.defaultEnvironment + ["SYSTEMD_OFFLINE=1"], input: input,
            root: root.string == "/" ? nil : root)
    }

    /// Runs `body` while the target has a /proc, which is not mounted there before the target is booted.
    ///
    /// The programs of some releases work without it, too.
    func withProc<Result>(_ body: () throws(Command.Failure) -> Result) throws(Command.Failure) -> Result {
        let proc = root.appending("proc")
        let isMounted = root.string != "/" && mountProc(on: proc)
        defer { if isMounted { try? Mounts.unmount(proc, lazily: true) } }
        return try body()
    }

    /// Returns whether it was not there and is now.
    private func mountProc(on folder: FilePath) -> Bool {
        guard Files.status(folder, followingLinks: false).map({ $0.st_mode & S_IFMT }) == S_IFDIR,
            !Files.exists(folder.appending("self"))
        else { return false }
        let flags = UInt(MS_NOSUID | MS_NODEV | MS_NOEXEC)
        return (try? Mounts.mount("proc", on: folder, type: "proc", flags: flags)) != nil
    }

    // MARK: systemctl

    /// Runs systemctl on the links of the target's units, as Ignition does.
    func systemctl(_ arguments: [String]) throws(Command.Failure) -> Command.Output {
        try runOnTarget(
            command("systemctl", arguments), ours: Command("systemctl", ["--root", root.string] + arguments))
    }

    /// Has the target's systemctl make and remove the links that enable units.
    ///
    /// - Returns: Why some units are not enabled; the boot goes on, as it would if the target itself failed to enable
    ///   them.
    func preset(_ enabled: [String], _ disabled: [String]) throws(Command.Failure) -> [String] {
        do throws(Command.Failure) {
            _ = try run(command("systemctl", ["preset"] + enabled + disabled))
            return []
        } catch {
            switch error {
            case .missing: return ["the target has no systemctl: no unit is enabled or disabled"]
            case .failed(_, _, let said) where enabled.count + disabled.count == 1:
                // A unit that cannot be disabled would not start either.
                return enabled.map { "\($0) is not enabled: \(said)" }
            case .failed: break
            case .unstartable, .cancelled: throw error
            }
        }
        // A unit that fails keeps systemctl from handling the others.
        var warnings: [String] = []
        for unit in enabled { warnings += try preset([unit], []) }
        for unit in disabled { warnings += try preset([], [unit]) }
        return warnings
    }
}
