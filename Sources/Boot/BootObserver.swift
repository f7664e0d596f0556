// What a session tells, on the consoles and in the log of a boot of our own.

import Logging
import ProvisioningEngine

extension SessionObserver {
    /// Shows a session on the consoles and in the log.
    static func boot(_ console: BootConsole, _ log: Logger) -> SessionObserver {
        SessionObserver(waits: console.waits) { event in
            switch event {
            case .told(let topic, let text): console.say(topic, text)
            case .noted(let topic, let text): console.say(topic, text, onOneLine: true)
            case .page(let topic, let lines): console.page(topic, lines)
            case .progress(let topic, let progress): console.progress(topic, progress)
            case .detail(let text): log.info("\(text)")
            case .warning(let text), .caution(let text): console.warn(text)
            case .parsed(let report): for warning in report.warnings { console.warn(warning.warning) }
            case .platform(let text), .noConfig(let text?): console.say("config", text)
            case .carryingOut(let summary, let plan):
                for line in summary { console.say("plan", line) }
                for line in plan { log.info("plan: \(line)") }
            case .writing(let what): console.doing("writing \(what)")
            case .done(let summary): console.say("disks", summary)
            case .wroteFiles(let summary, isAsked: true): console.say("files", summary)
            case .fellBack(let source, _): log.warning("the older root image is booted: \(source)")
            case .reading, .parsing, .found, .followed, .noConfig, .planned, .wrote, .did, .took, .wroteFiles,
                .wroteKeys:
                break
            }
        }
    }
}
