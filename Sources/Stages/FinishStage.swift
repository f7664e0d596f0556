// The end of provisioning: the report told, kept and posted; the config and its secrets gone.

import BlockDevices
import BootReport
import Fetching
import Glibc
import LinuxSystem
import Reporting
import SystemPackage

extension Stages {
    /// Tells what was done, and lets go of what no stage needs any more.
    func finish() throws {
        guard arguments.ignitionFirstboot else { return }
        state.changeReport { $0.outcome = .done }
        let report = state.report
        if try loadConfig() != nil { console.page("report", report.page) }
        post(report)
        try state.forgetSecrets()
    }

    // MARK: The report

    /// Runs a part of the boot; the time that it takes goes into the report, however it ends.
    func measured(_ stage: String, _ body: () throws -> Void) rethrows {
        let began = Machine.uptime()
        defer {
            if arguments.ignitionFirstboot {
                state.changeReport { $0[stage].seconds += Machine.uptime() - began }
            }
        }
        try body()
    }

    /// Takes down what a stage did.
    func note(_ changes: ChangeSummary, _ notes: [String] = [], of stage: String) {
        if arguments.ignitionFirstboot { state.changeReport { $0.add(changes, notes: notes, to: stage) } }
    }

    func note(_ notes: [String], of stage: String) { note(ChangeSummary(), notes, of: stage) }

    /// Warns, in the report too.
    func warn(_ text: String) {
        console.warn(text)
        if arguments.ignitionFirstboot { state.changeReport { $0.warnings.append(text) } }
    }

    /// Keeps and posts the report of a boot that stopped; its page would only repeat what the failure says.
    func reportFailure(_ failure: BootFailure, of stage: String) {
        guard arguments.ignitionFirstboot else { return }
        state.changeReport { report in
            report.outcome = .failed(.init(failure, in: stage, written: state.written))
        }
        post(state.report)
    }

    /// Posts the report where the command line says so. That it cannot be is a warning, never a failure.
    private func post(_ report: ProvisioningReport) {
        guard let url = arguments.reportURL else { return }
        let shown = "\(RedactedURL(url))"
        do {
            // What is wrong with the config has been told; its proxy and its authorities are missed then.
            let config = (try? loadConfig()) ?? nil
            let fetcher = try (try? resourceFetcher(for: config)) ?? resourceFetcher()
            try fetcher.post(json: report.json.text(), to: url, within: Self.postingTime)
            console.say("report", "posted to \(shown)")
        } catch {
            let reason =
                switch (error as? ResourceFailure)?.reason {
                case .outOfTime(let seconds, let last):
                    "no success within \(seconds) s" + (last.map { "; the last fault: \($0)" } ?? "")
                case .transfer(.cannotConnect(.networkUnreachable), _):
                    "there is no network; rd.neednet=1 brings it up"
                case .transfer(let fault, _): "\(fault)"
                default: "\(error)"
                }
            console.warn("the report was not posted to \(shown): \(reason)")
        }
    }

    /// Seconds that the boot gives the report's server.
    private static let postingTime = 10.0
}

// MARK: What is kept, and what is not

extension StageState {
    private static let reportFile = "report.json"

    var report: ProvisioningReport {
        load(Self.reportFile).map(ProvisioningReport.init)
            ?? ProvisioningReport(bootID: Files.line("/proc/sys/kernel/random/boot_id") ?? "")
    }

    /// Under systemd stages run side by side: one changes it at a time.
    func changeReport(_ change: (inout ProvisioningReport) -> Void) {
        try? Files.makeFolder(Self.folder, mode: 0o700)
        let lock = open(Self.folder.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { if lock >= 0 { close(lock) } }
        if lock >= 0 { _ = flock(lock, LOCK_EX) }
        var report = report
        change(&report)
        // A report that cannot be kept must not stop what it is about.
        try? save(report.json, as: Self.reportFile, mode: 0o644)
    }

    /// Removes the user's config, the keys of LUKS volumes and what else came out of them. What stays may be read
    /// by anybody: the folder is opened, the log is for root.
    func forgetSecrets() throws {
        try step("removing the config and its secrets") {
            for name in Files.names(in: Self.folder) where Self.isSecret(name) {
                try Files.erase(Self.folder.appending(name))
            }
            // A config that somebody put into /run outlives the initramfs, which its other folders do not.
            if let config = SystemConfigFolders(variable).userConfig, config.starts(with: "/run") {
                try Files.erase(config)
            }
            guard chmod(Self.folder.string, 0o755) == 0 else {
                throw FileFault("set the mode of", Self.folder, Errno(rawValue: errno))
            }
        }
    }

    /// Content of the config or fetched for it, and what was left half written of such a file.
    static func isSecret(_ name: String) -> Bool {
        ["config.ign", "config.json", "volumes.json", "scratch"].contains(name)
            || (name.hasPrefix("luks-") && name.hasSuffix(".key"))
            || (name.hasPrefix(".") && name.hasSuffix(".firstlight"))
    }
}
