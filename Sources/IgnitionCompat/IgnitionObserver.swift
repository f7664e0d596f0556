// What a session tells, in the log as Ignition keeps it, in its state and in the journal.

import Encoding
import IgnitionConfig
import ProvisioningEngine
import Reporting
import SystemPackage

extension SessionObserver {
    /// Tells about a session in the words of Ignition.
    ///
    /// - Parameters:
    ///   - log: Where lines go.
    ///   - root: The root of the system that is being provisioned.
    ///   - waits: Told of devices that are waited for; of fetches the log tells each attempt.
    ///   - store: Keeps where configs came from.
    /// - Returns: An observer for a session of ours.
    static func ignition(
        _ log: IgnitionLog, root: FilePath, waits: Waits = .untold, store: IgnitionStore? = nil
    ) -> SessionObserver {
        SessionObserver(waits: waits, fetchWaits: .untold) { event in
            switch event {
            case .detail(let text), .platform(let text): log.info(text)
            case .warning(let text), .caution(let text): log.warning(text)
            case .reading(let path): log.info("reading system config file \"\(path)\"")
            case .parsing(let bytes): log.parsing(bytes)
            case .parsed(let report): log.report(report)
            case .found(let source): store?.record(.init(kind: .user, source: source.word))
            case .followed(let urls):
                for url in urls { store?.record(.init(kind: .user, source: url.pathOfFile, isReferenced: true)) }
            case .noConfig:
                log.info("not a config (empty): provider config was empty, continuing with empty cache config")
            case .carryingOut(_, let plan): for line in plan { log.info("plan: \(line)") }
            case .writing(let what): log.info("[started]  writing \(what)")
            case .done(let summary): log.info("[finished] \(summary)")
            case .wroteFiles(let summary, _): log.info(summary)
            case .wroteKeys(let user, let path):
                IgnitionLog.journal(
                    .authorizedKeys, "wrote ssh authorized keys file for user: \(user)",
                    [
                        ("IGNITION_USER_NAME", user),
                        ("IGNITION_PATH", root.pushing(FilePath(path).removingRoot()).string),
                    ])
            case .told, .noted, .page, .progress, .fellBack, .planned, .wrote, .did, .took: break
            }
        }
    }
}

extension ConfigSource {
    /// As the state names it.
    fileprivate var word: String {
        switch self {
        case .url, .volume: "cmdline"
        case .file: "system"
        case .platform(let platform): platform.rawValue
        }
    }
}

extension SourceURL {
    /// As the state names a config that another refers to: nothing that may be secret.
    fileprivate var pathOfFile: String { isData ? "" : path }
}
