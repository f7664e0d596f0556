// The consoles: every place where people read what the boot says, and how a line comes there.

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
        /// A screen that certainly has colours: what reads a serial line may not.
        var hasColours = false
    }

    private enum OpenLine { case progress, wait }

    private struct State {
        /// A line that is drawn over and stands unfinished on the screens that redraw.
        var openLine: OpenLine?
        /// The topic whose progress was shown last, and the pace of progress lines for each kind of screen.
        var progressTopic = ""
        var terminalPace = ProgressPace(console: .terminal)
        var logPace = ProgressPace(console: .log)
        /// Descriptors of screens that took nothing when they were last written to.
        var stuck: Set<Int32> = []
    }

    let screens: [Screen]
    /// `quiet`: the story goes to the log alone; warnings, failures and what is waited for are shown all the same.
    private let isQuiet: Bool
    /// Held while anything is shown: another thread shows what is waited for.
    private let state = Mutex(State())
    private let log: Logger
    let watch: WaitWatch
    private let now: @Sendable () -> Double

    init(
        screens: [Screen], isQuiet: Bool, log: Logger, now: @escaping @Sendable () -> Double = { Machine.uptime() }
    ) {
        self.screens = screens
        self.now = now
        watch = WaitWatch(now: now)
        self.isQuiet = isQuiet
        self.log = log
        watch.onDue { [weak self] in self?.show($0) }
    }

    // MARK: What is waited for

    /// Where waits are told.
    var waits: Waits { watch.waits }

    /// What the part of the boot that is under way is busy with, for people who wait.
    func doing(_ what: String) { watch.doing(what) }

    /// Shows what is due of the waits; `nil`: nothing is.
    private func show(_ due: WaitDisplay.Due?) {
        state.withLock { state in
            guard let due else { return state.openLine == .wait ? closeLine(&state) : () }
            let now = now()
            let line = ConsoleLine(seconds: now, topic: due.wait.topic, text: due.wait.description).description + "\n"
            if due.news == .first {
                closeLine(&state)
                show(line, &state) { _ in true }
            } else if due.news == .again {
                show(line, &state) { !$0.redraws }
            }
            if due.news != .none { writeToLog(.info, "\(due.wait.topic): \(due.wait)") }
            // Progress beside it is shown for as long as there is some.
            if due.news == .none, state.openLine == .progress { return }
            let text = due.wait.brief(at: now, width: 80 - ConsoleLine.margin - 1)
            redraw(ConsoleLine(seconds: now, topic: due.wait.topic, text: text), as: .wait, &state)
        }
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
            return descriptor < 0
                ? nil : Screen(name: name, descriptor: descriptor, redraws: isVirtual, hasColours: isVirtual)
        }
        // Where none can be opened, what PID 1 was started with is all there is.
        let last = Screen(name: "stderr", descriptor: STDERR_FILENO, redraws: false, hasColours: false)
        return BootConsole(screens: screens.isEmpty ? [last] : screens, isQuiet: isQuiet, log: log)
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
        writeToLog(.info, text)
        if !isQuiet { state.withLock { show(printable(text) + "\n", as: .headline, &$0) { _ in true } } }
    }

    /// Tells one thing that happened; with `onOneLine` a long URL is shown without its middle, which the log has.
    public func say(_ topic: String, _ text: String, onOneLine: Bool = false) {
        writeToLog(.info, "\(topic): \(text)")
        if !isQuiet { tell(topic, onOneLine ? withShortURL(text, columns: 80 - ConsoleLine.margin) : text) }
    }

    /// Tells something that takes several lines; those after the first are whole lines of the screen.
    public func page(_ topic: String, _ lines: [String]) {
        writeToLog(.info, "\(topic): \(lines.joined(separator: "\n"))")
        if isQuiet { return }
        tell(topic, lines.first ?? "", lines.dropFirst().map { $0 + "\n" }.joined())
    }

    /// Tells something that somebody ought to look into.
    public func warn(_ text: String) {
        writeToLog(.warning, text)
        tell("warning", text, as: .warning)
    }

    private func tell(_ topic: String, _ text: String, _ rest: String = "", as emphasis: Emphasis = .none) {
        watch.told()
        state.withLock { state in
            closeLine(&state)
            let line = ConsoleLine(seconds: now(), topic: topic, text: printable(text))
            show(line.description + "\n" + printable(rest), as: emphasis, &state) { _ in true }
        }
    }

    /// Tells how far a transfer is: a line that is redrawn, or now and then one more where nothing redraws.
    public func progress(_ topic: String, _ progress: TransferProgress) {
        doing("\(progress)")
        if isQuiet { return }
        let now = now()
        state.withLock { state in
            if state.progressTopic != topic {
                state.progressTopic = topic
                (state.terminalPace, state.logPace) = (ProgressPace(console: .terminal), ProgressPace(console: .log))
            }
            let line = ConsoleLine(seconds: now, topic: topic, text: "\(progress)")
            if state.terminalPace.shows(progress, at: now) { redraw(line, as: .progress, &state) }
            if state.logPace.shows(progress, at: now) { show(line.description + "\n", &state) { !$0.redraws } }
        }
        watch.told()
    }

    /// Shows a failure's report as it is; the first lines, as many as are told, are its cause.
    public func report(_ lines: [String], cause count: Int = 0) {
        writeToLog(.error, lines.joined(separator: "\n"))
        watch.told()
        state.withLock { state in
            closeLine(&state)
            let cause = lines.prefix(count).map { printable($0) + "\n" }.joined()
            let rest = lines.dropFirst(count).map { printable($0) + "\n" }.joined()
            show("\n" + cause, as: .failure, &state) { _ in true }
            if !rest.isEmpty { show(rest, &state) { _ in true } }
        }
    }

    /// Puts into the log what the screens show.
    private func writeToLog(_ level: Logger.Level, _ text: String) {
        log.log(level: level, "\(text)", metadata: [BootLog.shown: "true"])
    }

    /// The screen where a shell goes: the last `console=`, as for the kernel's own /dev/console.
    var shellScreen: Screen? { screens.last }

    private func redraw(_ line: ConsoleLine, as kind: OpenLine, _ state: inout State) {
        guard screens.contains(where: \.redraws) else { return }
        state.openLine = kind
        show("\r\(line)\u{1b}[K", &state) { $0.redraws }
    }

    private func closeLine(_ state: inout State) {
        // What happened next says more than the line did.
        if state.openLine != nil { show("\r\u{1b}[K", &state) { $0.redraws } }
        state.openLine = nil
    }

    private func show(
        _ text: String, as emphasis: Emphasis = .none, _ state: inout State, where isWanted: (Screen) -> Bool
    ) {
        for screen in screens where isWanted(screen) {
            let isStuck = state.stuck.contains(screen.descriptor)
            let shown = screen.hasColours ? emphasis.painted(text) : text
            let isWritten = Self.write(shown, to: screen.descriptor, patience: isStuck ? 0 : 1000)
            if isWritten { state.stuck.remove(screen.descriptor) } else { state.stuck.insert(screen.descriptor) }
        }
    }

    /// Writes as much as the screen takes.
    ///
    /// A serial line with flow control and nobody at its other end never takes anything, and must not hold up the boot.
    ///
    /// - Parameters:
    ///   - text: What to write.
    ///   - descriptor: The console.
    ///   - patience: Milliseconds that it may take to make room.
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
