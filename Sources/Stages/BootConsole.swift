// Stages: what firstlight does between the kernel and the real root's init, one stage per file.
// The same code runs whether firstlight is PID 1 and calls the stages in turn, or systemd starts them
// one by one; what one stage tells the next lies in files under /run/firstlight.

import Glibc
import LinuxSystem
import Logging
import Reporting
import Synchronization
import SystemPackage

/// Every place where people read what the boot says.
public final class BootConsole: Sendable {
    /// One device that shows the story.
    struct Screen: Sendable {
        var name: String
        var descriptor: Int32
        /// A screen that can redraw its last line, rather than a log that only grows.
        var redraws: Bool
    }

    private struct State {
        /// Whether a progress line stands unfinished on the screens that redraw.
        var progressIsOpen = false
        /// The tenths of the transfer that have been told on the screens that do not.
        var toldTenths = -1
        /// Descriptors of screens that took nothing when they were last written to.
        var stuck: Set<Int32> = []
    }

    let screens: [Screen]
    /// `quiet`: the story goes to the log alone; warnings and failures are shown all the same.
    private let isQuiet: Bool
    private let state = Mutex(State())
    private let log: Logger

    init(screens: [Screen], isQuiet: Bool, log: Logger) {
        self.screens = screens
        self.isQuiet = isQuiet
        self.log = log
    }

    /// Every console of the kernel (`console=`), as PID 1 finds them.
    public static func kernel(isQuiet: Bool, log: Logger) -> BootConsole {
        let active = Files.line("/sys/class/tty/console/active") ?? ""
        var names = active.split(separator: " ").map(String.init)
        if names.isEmpty { names = ["console"] }
        let screens = names.compactMap { name -> Screen? in
            // The virtual terminal in front is a screen; anything else (ttyS0, hvc0) may well be a log.
            let isVirtual = name.hasPrefix("tty") && name.dropFirst(3).allSatisfy(\.isNumber)
            let descriptor = openScreen(name)
            return descriptor < 0 ? nil : Screen(name: name, descriptor: descriptor, redraws: isVirtual)
        }
        return BootConsole(screens: screens, isQuiet: isQuiet, log: log)
    }

    private static func openScreen(_ name: String) -> Int32 {
        open("/dev/\(name)", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
    }

    /// Opens the kernel's consoles anew, under the descriptors that they have.
    func reopen() {
        for screen in screens where screen.descriptor > 2 {
            let fresh = Self.openScreen(screen.name)
            guard fresh >= 0 else { continue }
            dup2(fresh, screen.descriptor)
            _ = fcntl(screen.descriptor, F_SETFD, FD_CLOEXEC)
            close(fresh)
        }
    }

    /// Standard error: the journal when systemd runs the stage, a terminal when a person does.
    public static func standardError(log: Logger) -> BootConsole {
        BootConsole(
            screens: [Screen(name: "stderr", descriptor: 2, redraws: isatty(2) == 1)], isQuiet: false, log: log)
    }

    /// The first line: what boots on what.
    func headline(_ text: String) {
        log.info("\(text)")
        if !isQuiet { show(text + "\n") { _ in true } }
    }

    /// Tells one thing that happened.
    public func say(_ topic: String, _ text: String) {
        log.info("\(topic): \(text)")
        if !isQuiet { tell(topic, text) }
    }

    /// Tells something that takes several lines; those after the first are whole lines of the screen.
    public func page(_ topic: String, _ lines: [String]) {
        log.info("\(topic): \(lines.joined(separator: "\n"))")
        if isQuiet { return }
        tell(topic, lines.first ?? "")
        let rest = lines.dropFirst()
        if !rest.isEmpty { show(rest.joined(separator: "\n") + "\n") { _ in true } }
    }

    /// Tells something that somebody ought to look into.
    public func warn(_ text: String) {
        log.warning("\(text)")
        tell("warning", text)
    }

    private func tell(_ topic: String, _ text: String) {
        closeProgress()
        show(StoryLine(seconds: Machine.uptime(), topic: topic, text: text).description + "\n") { _ in true }
    }

    /// Tells how far a transfer is: a line that is redrawn, or every tenth part where nothing redraws.
    ///
    /// - Parameter fraction: 0 to 1, or `nil` where the length is not known.
    public func progress(_ topic: String, _ text: String, fraction: Double?) {
        if isQuiet { return }
        let line = StoryLine(seconds: Machine.uptime(), topic: topic, text: text).description
        show("\r\(line)\u{1b}[K") { $0.redraws }
        let tenths = fraction.map { Int($0 * 10) } ?? 0
        let isNews = state.withLock { state in
            state.progressIsOpen = true
            defer { state.toldTenths = max(state.toldTenths, tenths) }
            return tenths > state.toldTenths && tenths > 0 && tenths < 10
        }
        if isNews { show(line + "\n") { !$0.redraws } }
    }

    /// Shows a failure's report as it is.
    public func report(_ lines: [String]) {
        log.error("\(lines.joined(separator: "\n"))")
        closeProgress()
        show("\n" + lines.joined(separator: "\n") + "\n") { _ in true }
    }

    /// The screen where a shell goes: the last `console=`, as for the kernel's own /dev/console.
    var shellScreen: Screen? { screens.last }

    private func closeProgress() {
        let wasOpen = state.withLock { state in
            defer { (state.progressIsOpen, state.toldTenths) = (false, -1) }
            return state.progressIsOpen
        }
        // What happened next says more than the last progress did.
        if wasOpen { show("\r\u{1b}[K") { $0.redraws } }
    }

    private func show(_ text: String, where isWanted: (Screen) -> Bool) {
        for screen in screens where isWanted(screen) {
            let isStuck = state.withLock { $0.stuck.contains(screen.descriptor) }
            let isWritten = Self.write(text, to: screen.descriptor, patience: isStuck ? 0 : 1000)
            state.withLock { state in
                if isWritten { state.stuck.remove(screen.descriptor) } else { state.stuck.insert(screen.descriptor) }
            }
        }
    }

    /// Writes as much as the screen takes. A serial line with flow control and nobody at its other end
    /// takes nothing for ever, and must not hold up the boot.
    ///
    /// - Parameter patience: Milliseconds that it may take to make room.
    /// - Returns: Whether there was room in time.
    static func write(_ text: String, to descriptor: Int32, patience: Int32) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                guard poll(&room, 1, patience) == 1 else { return false }
            } else if errno != EINTR {
                break
            }
        }
        return true
    }
}
