// A boot of our own: what a live system has beside provisioning, which is a root image and a report.

import BootArguments
import BootReport
import Devices
import Encoding
import LinuxSystem
import LiveImage
import LiveRoot
import Reporting
import SystemPackage

/// The stages of a boot of our own, for PID 1 and for units.
public struct LiveSession: Sendable {
    /// The part that is the same for every way of provisioning.
    public var provisioning: ProvisioningSession
    /// What the stages leave for each other.
    public let state = StateFolder()

    var arguments: BootArguments { provisioning.arguments }
    var observer: SessionObserver { provisioning.observer }

    /// Makes the session of a boot.
    ///
    /// - Parameters:
    ///   - arguments: The kernel command line.
    ///   - observer: Told of everything; the report is kept besides.
    ///   - devices: Access to the machine's devices.
    public init(_ arguments: BootArguments, observer: SessionObserver, devices: DeviceAccess) {
        provisioning = ProvisioningSession(
            arguments, .live(arguments), store: state,
            observer: observer.and(.keeping(in: state, isReported: arguments.ignitionFirstboot)), devices: devices)
        provisioning.roomForImage = { [state] in Self.roomForImage(arguments, state) }
        provisioning.medium = Self.mediumToStay(arguments)
    }

    /// The same session, for a stage that tells somebody else.
    public func telling(_ observer: SessionObserver) -> LiveSession {
        var session = self
        session.provisioning = provisioning.telling(
            observer.and(.keeping(in: state, isReported: arguments.ignitionFirstboot)))
        return session
    }

    /// Runs a stage, and has the report tell how long it took where the table says so.
    ///
    /// - Parameters:
    ///   - stage: The stage.
    ///   - machine: Does what only PID 1 can.
    /// - Throws: What stops the stage.
    public func run(_ stage: BootStage, machine: (BootStage.MachinePart) throws -> Void = { _ in }) throws {
        let row = stage.row
        func act() throws {
            switch row.does {
            case .machine(let part): try machine(part)
            case .session(let run): try run(self)
            }
        }
        if row.isReported { try provisioning.measured(row.topic, act) } else { try act() }
    }

    /// Runs what a unit runs.
    public func run(_ name: StageName) throws {
        for stage in name.stages { try run(stage) }
    }

    /// Keeps what is under way, for whoever has to tell that it never ended.
    public func begin(_ stages: [BootStage]) {
        if let step = StepRecord(stages) { state.begin(step) }
    }

    /// Whether it is settled which config there is; one that cannot be read stops the stage that fetches it.
    private var isConfigKnown: Bool { (try? state.configProgress).map { $0 != .unknown } ?? false }

    /// What the network is needed for: the command line, the root image, the config or what it names.
    public var needsNetwork: Bool {
        let isKnown = isConfigKnown
        let config = isKnown ? try? provisioning.config() : nil
        return arguments.needsNetwork(
            rootImageIsLocal: hasAppendedRootImage,
            configNeedsNetwork: config.map { namesSomethingRemote($0) }
                ?? (!isKnown && arguments.asksPlatformOverNetwork))
    }

    /// What is fetched first: the config and the root image, or else what the config at hand names.
    ///
    /// The network counts as up once the server of one of them answers.
    public var firstURLs: [SourceURL] {
        let isKnown = isConfigKnown
        var urls: [SourceURL] = []
        if !isKnown, arguments.ignitionFirstboot, let url = arguments.configURL { urls.append(url.asWritten) }
        if arguments.liveISO == nil, !hasAppendedRootImage { urls += arguments.rootfsURLs.map(\.asWritten) }
        // A URL behind a proxy of the config says nothing about the way to its server.
        if urls.isEmpty, isKnown, let config = try? provisioning.config(), config.ignition.proxy.httpProxy == nil,
            config.ignition.proxy.httpsProxy == nil
        {
            urls = remoteResources(config).compactMap { $0.source?.url }
        }
        return urls
    }

    /// Has the report say something of a stage.
    public func note(_ text: String, of stage: BootStage) {
        observer(.did(topic: stage.topic, ChangeSummary(), [text]))
    }
}
