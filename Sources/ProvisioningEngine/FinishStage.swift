// The end of provisioning: the report told, kept and posted; the config and its secrets gone.

import BootArguments
import BootReport
import Fetching
import Glibc
import JSONText
import LinuxSystem
import Reporting
import SystemPackage

extension LiveSession {
    /// Tells what was done, and lets go of what no stage needs any more.
    func finish() throws {
        guard arguments.ignitionFirstboot else { return }
        state.changeReport { $0.outcome = .done }
        let report = state.report
        if try provisioning.config() != nil { observer(.page(topic: "report", report.page)) }
        post(report)
        try state.forgetSecrets()
        provisioning.forgetConfigs()
    }

    /// Keeps and posts the report of a boot that stopped; its page would only repeat what the failure says.
    ///
    /// - Parameters:
    ///   - failure: Why the boot stopped.
    ///   - topic: The report's word for the stage.
    public func reportFailure(_ failure: BootFailure, of topic: String) {
        guard arguments.ignitionFirstboot else { return }
        state.changeReport { report in
            report.outcome = .failed(.init(failure, in: topic, written: state.written))
        }
        post(state.report)
    }

    /// Posts the report where the command line says so.
    ///
    /// If that fails, it is a warning and never stops the boot.
    private func post(_ report: ProvisioningReport) {
        guard let url = arguments.reportURL else { return }
        let end = Machine.uptime() + Self.postingTime
        do {
            // A mistake in the config was reported already; then its proxy and its authorities are not used here.
            let config = (try? provisioning.config()) ?? nil
            let fetcher = provisioning.resourceFetcher(for: config, authoritiesWithin: Self.postingTime / 2)
            let filled = try provisioning.filled(url, of: BootArguments.reportKey)
            try fetcher.post(json: report.text.text(), to: filled, within: max(1, end - Machine.uptime()))
            observer(.told(topic: "report", "posted to \(url)"))
        } catch {
            let reason =
                switch (error as? ResourceFailure)?.reason {
                case .outOfTime(let seconds, let last):
                    "no success within \(seconds) s" + (last.map { "; the last fault: \($0)" } ?? "")
                case .transfer(.cannotConnect(.networkUnreachable), _):
                    "there is no network; rd.neednet=1 brings it up"
                case .transfer(let fault, _): "\(fault)"
                default: (error as? ArgumentProblem)?.reason ?? "\(error)"
                }
            observer(.caution("the report was not posted to \(url): \(reason)"))
        }
    }

    /// Seconds that the boot gives the report's server, and with it the servers of the config's authorities.
    private static let postingTime = 10.0
}

// MARK: The report's file

extension StateFolder {
    /// The report as far as it goes.
    var report: ProvisioningReport {
        (try? Files.read(path(.report))).flatMap { ProvisioningReport(parsing: $0) }
            ?? ProvisioningReport(bootID: Files.line("/proc/sys/kernel/random/boot_id") ?? "")
    }

    /// Under systemd stages run side by side: one changes it at a time.
    func changeReport(_ change: (inout ProvisioningReport) -> Void) {
        try? Files.makeFolder(place, mode: 0o700)
        let lock = open(place.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { if lock >= 0 { close(lock) } }
        if lock >= 0 { _ = flock(lock, LOCK_EX) }
        var report = report
        change(&report)
        // A report that cannot be kept must not stop the work that it describes.
        try? save(report.text, as: .report, mode: 0o644)
    }
}
