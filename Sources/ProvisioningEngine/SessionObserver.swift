// Who is told what a session does: consoles, the log, the report, or the log as Ignition keeps it.

import BootReport
import Encoding
import IgnitionConfig
import JSONText
import Reporting
import SystemPackage

/// One thing that a session tells.
///
/// None holds a secret except ``parsing(_:)``, which nobody shows.
public enum SessionEvent: Sendable {
    // MARK: For people

    /// A line of the boot's console.
    case told(topic: String, String)
    /// The same of something that the report tells, too.
    case noted(topic: String, String)
    /// Several lines; those after the first are whole lines of the screen.
    case page(topic: String, [String])
    case progress(topic: String, TransferProgress)
    /// A line of the log alone.
    case detail(String)
    /// Something that somebody ought to look into.
    case warning(String)
    /// A warning that does not concern the config and does not belong in the report.
    case caution(String)

    /// An older root image is booted, from that URL without secrets, and why the one that was wanted is not.
    case fellBack(to: String, because: String)

    // MARK: The config

    /// A config of the image is read.
    case reading(FilePath)
    case parsing([UInt8])
    /// What is wrong with a text that was parsed.
    case parsed(IgnitionConfig.Report)
    /// What the platform says while it is asked.
    case platform(String)
    /// The user's config is there and is one.
    case found(ConfigSource)
    /// The URLs of configs that it refers to, as far as they were fetched.
    case followed([SourceURL])
    /// There is no config, and why; `nil` where that was told already.
    case noConfig(String?)

    // MARK: Carrying it out

    /// The plan of the disks, for programs; it may be all there will be.
    case planned(JSONValue)
    /// The plan is carried out now: its lines for the console, and all of it.
    case carryingOut(summary: [String], plan: [String])
    /// A write to a disk begins; from now on it counts as written: `the partition table of /dev/vda`.
    case writing(String)
    /// Done to a disk: `xfs "var" created on /dev/vda1`.
    case done(String)
    /// Changed beside the disks, in a phrase for failures up to the very end of the boot.
    case wrote(String)
    /// What a stage did, for the report.
    case did(topic: String, ChangeSummary, [String])
    /// Seconds that a stage took, however it ended.
    case took(topic: String, Double)
    /// Files are written: `3 files, 1 user`, and whether anybody had asked for any.
    case wroteFiles(summary: String, isAsked: Bool)
    /// A user's SSH keys were written, into a file that is absolute in the real root.
    case wroteKeys(user: String, path: String)
}

/// Whom a session tells what it does.
public struct SessionObserver: Sendable {
    /// Takes an event, on any thread.
    public var observe: @Sendable (SessionEvent) -> Void
    /// Told of what is waited for.
    public var waits: Waits
    /// Told of fetches, for as long as they take.
    public var fetchWaits: Waits

    /// Makes an observer.
    ///
    /// - Parameters:
    ///   - waits: Told of what is waited for.
    ///   - fetchWaits: Told of fetches; `nil`: the same as `waits`.
    ///   - observe: Takes an event, on any thread.
    public init(
        waits: Waits = .untold, fetchWaits: Waits? = nil, observe: @escaping @Sendable (SessionEvent) -> Void = { _ in }
    ) {
        self.observe = observe
        self.waits = waits
        self.fetchWaits = fetchWaits ?? waits
    }

    /// Tells it.
    public func callAsFunction(_ event: SessionEvent) { observe(event) }

    /// Tells another as well, after this one.
    public func and(_ other: SessionObserver) -> SessionObserver {
        SessionObserver(waits: waits, fetchWaits: fetchWaits) { [observe] event in
            observe(event)
            other.observe(event)
        }
    }
}

extension SessionObserver {
    /// Keeps the report, the plan and what was written, in files for those who look at the boot.
    ///
    /// - Parameters:
    ///   - state: Where the files are.
    ///   - isReported: Whether there is a report: not where nothing is provisioned.
    /// - Returns: An observer to have beside another, by ``and(_:)``.
    public static func keeping(in state: StateFolder, isReported: Bool) -> SessionObserver {
        SessionObserver { event in
            func change(_ body: (inout ProvisioningReport) -> Void) {
                if isReported { state.changeReport(body) }
            }
            switch event {
            case .noted(let topic, let text): change { $0.add(ChangeSummary(), notes: [text], to: topic) }
            case .noConfig(let text?): change { $0.add(ChangeSummary(), notes: [text], to: "config") }
            case .did(let topic, let changes, let notes): change { $0.add(changes, notes: notes, to: topic) }
            case .took(let topic, let seconds): change { $0[topic].seconds += seconds }
            case .warning(let text): change { $0.warnings.append(text) }
            case .fellBack(let source, let reason): change { $0.fallback = .init(image: source, reason: reason) }
            case .parsed(let report):
                if !report.warnings.isEmpty { change { $0.warnings += report.warnings.map(\.warning) } }
            case .planned(let plan): state.keep(plan: plan)
            case .writing(let phrase), .wrote(let phrase): state.recordWrite(phrase)
            case .told, .page, .progress, .detail, .caution, .reading, .parsing, .platform, .found, .followed,
                .noConfig, .carryingOut, .done, .wroteFiles, .wroteKeys:
                break
            }
        }
    }
}
