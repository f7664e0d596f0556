// The leases' time servers: asked where this machine's clock is doubtful, and left to the real root's own programs.

import BootArguments
import LinuxSystem
import Logging
import NetworkPlanning
import TargetRoot

extension Networking {
    /// Sets a doubtful clock forward to what the leases' time servers say.
    ///
    /// Each server is asked once and has a second; of each link, the first two servers are asked. A clock that is not
    /// doubtful is not set and costs nothing.
    ///
    /// - Returns: The change; `nil` if none was needed, or nobody answered.
    public static func setClock(_ clock: MachineClock, by state: NetworkState) -> MachineClock.Change? {
        guard clock.isDoubtful else { return nil }
        for link in state.links {
            for server in link.timeServers.prefix(2) {
                let question = TimeQuestion()
                guard let answer = LinkProbe(name: link.interface).exchange(question.bytes, with: server, port: 123),
                    let seconds = question.seconds(answer, notBefore: clock.buildDate)
                else { continue }
                return clock.setForward(to: seconds, of: "\(server)")
            }
        }
        return nil
    }

    /// Leaves the time servers to what keeps the real root's clock.
    ///
    /// `run` is `/run`, which moves into the real root.
    static func handOverTimeServers(
        to root: TargetRoot, run: TargetRoot = TargetRoot("/run"), _ servers: [IPAddress], always: Bool,
        _ logger: Logger
    ) throws(NetworkFailure) {
        guard !servers.isEmpty else { return }
        for (path, text) in ClockKeepers(of: root).files(for: servers, always: always) {
            try write(path, in: run, Array(text.utf8))
            logger.info("time servers left in \(run.root)\(path)")
        }
    }
}

extension ClockKeepers {
    init(of root: TargetRoot) {
        self.init()
        hasTimesyncd = root.has("/usr/lib/systemd/systemd-timesyncd") || root.has("/lib/systemd/systemd-timesyncd")
        var files = ["/etc/systemd/timesyncd.conf"]
        for folder in ["/etc/systemd/timesyncd.conf.d", "/usr/lib/systemd/timesyncd.conf.d"] {
            files += root.names(in: folder).filter { $0.hasSuffix(".conf") }.map { "\(folder)/\($0)" }
        }
        timesyncdHasOwnServers = files.contains { Self.namesServers(timesyncd: root.text($0) ?? "") }
        // Debian's place, and Fedora's.
        for file in ["/etc/chrony/chrony.conf", "/etc/chrony.conf"] where chronyFolder == nil {
            chronyFolder = Self.sourceFolder(chrony: root.text(file) ?? "")
        }
    }
}
