// `firstlight plan`: what would this config do to this machine.

import Glibc
import IgnitionConfig
import JSONText
import LinuxSystem
import ProvisioningEngine
import Reporting
import SystemPackage

/// What a person can ask before there is a boot.
public enum PlanCommand {
    /// Where the config and the disks are from.
    public struct Inputs: Sendable {
        /// The config; `-` is standard input.
        public var config: String
        /// What messages call the config; `nil` is its file.
        public var name: String?
        /// Whether the config comes with the places that messages are to name, as `firstlight-image plan` hands it on.
        public var isPlaced = false
        /// A system whose users, files and units count, too.
        public var root: String?
        /// Image files that stand for the disks of another machine: `/dev/vda=disk.img`.
        public var disks: [String] = []
        /// Nothing is fetched from another machine; where the config refers to one, that is an error.
        public var isOffline = false

        /// Makes inputs of a config alone.
        public init(config: String) { self.config = config }
    }

    /// Prints what a config would do to the disks and, where a root is given, to the system below it.
    ///
    /// Nothing is written.
    ///
    /// - Parameters:
    ///   - inputs: The config and the disks.
    ///   - asJSON: Whether the plan is printed for programs.
    /// - Returns: 0 nothing to do, 2 changes, 3 would destroy data, 1 error.
    public static func run(_ inputs: Inputs, asJSON: Bool) -> Int32 {
        var standIns = StandIns()
        let watch = WaitWatch()
        watch.onDue { due in
            guard let due, due.news != .none else { return }
            complain("\(due.wait.subject): \(due.wait.brief(at: Machine.uptime(), width: 200))")
        }
        defer { watch.onDue { _ in } }
        do {
            standIns = try StandIns(inputs.disks)
            let preview = try ProvisioningPreview(
                of: try text(inputs), root: inputs.root.map { FilePath($0) }, isOffline: inputs.isOffline,
                images: standIns.images, waits: watch.waits, warn: { complain(standIns.shown($0)) })
            if asJSON {
                print(standIns.shown(preview.json.text(.pretty)))
            } else {
                // `firstlight-image plan` hands the text on to a terminal.
                let isForced = variable("CLICOLOR_FORCE").map { $0 != "0" } ?? false
                let isColoured = variable("NO_COLOR") == nil && (isForced || isatty(1) == 1)
                for line in preview.lines { print(standIns.shown(isColoured ? line.coloured : line.text)) }
            }
            return switch preview.verdict {
            case .nothing: 0
            case .changes: 2
            case .destroys: 3
            }
        } catch {
            let failure = error as? BootFailure ?? BootFailure(cause: error)
            if asJSON { print(standIns.shown(failure.json.text(.pretty))) }
            complain(standIns.shown("\(failure.cause)"))
            failure.steps.reversed().forEach { complain(standIns.shown("  while \($0)")) }
            FileFault.adviceAtAShell(about: failure).forEach { complain(standIns.shown("  \($0)")) }
            return 1
        }
    }

    private static func text(_ inputs: Inputs) throws -> IgnitionConfig.PlacedText {
        let bytes = try read(inputs.config)
        guard inputs.isPlaced else {
            return .init(bytes, source: .init(name: inputs.name ?? name(of: inputs.config)))
        }
        guard let text = IgnitionConfig.PlacedText(parsing: bytes) else { throw OtherVersion() }
        return text
    }
}

/// The image tool is of another version than this program.
private struct OtherVersion: Error, CustomStringConvertible, Advising {
    var description: String { "this agent does not understand the form in which it was handed the config" }
    var advice: [String] { ["Use the image tool and the agent of one build."] }
}

/// Image files that stand for the disks of another machine.
struct StandIns {
    /// The images by the devices that they stand for.
    private(set) var images: [String: String] = [:]

    /// Why an option makes no sense.
    enum Failure: Error, Equatable, CustomStringConvertible, Advising {
        case malformed(String)
        case twice(String)
        case noImage(device: String, file: String)

        var description: String {
            switch self {
            case .malformed(let text): "--disk \(text): write DEVICE=IMAGE, such as /dev/vda=disk.img"
            case .twice(let device): "--disk \(device) is given twice"
            case .noImage(let device, let file): "--disk \(device)=\(file): there is no such image"
            }
        }

        var advice: [String] {
            guard case .noImage(_, let file) = self else { return [] }
            return ["`truncate -s 20G \(file)` makes a blank one, which takes no room."]
        }
    }

    init() {}

    /// Reads options such as `/dev/vda=disk.img`.
    init(_ options: [String]) throws(Failure) {
        for option in options {
            let parts = option.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, parts[0].hasPrefix("/"), !parts[1].isEmpty else { throw .malformed(option) }
            guard images[parts[0]] == nil else { throw .twice(parts[0]) }
            let file = FilePath(parts[1])
            guard let image = Files.resolved(file), !Files.isFolder(image) else {
                throw .noImage(device: parts[0], file: parts[1])
            }
            images[parts[0]] = image.string
        }
    }

    /// The text with devices in the place of images again, and with the names that their partitions will have.
    ///
    /// A path of the config that only begins or ends as an image does is left as it is.
    func shown(_ text: String) -> String {
        // The longest first: one image's name may begin with another's.
        images.sorted { $0.value.count > $1.value.count }.reduce(text) { replace($1.value, by: $1.key, in: $0) }
    }

    private func replace(_ image: String, by device: String, in text: String) -> String {
        var result = ""
        var rest = text[...]
        while let found = rest.firstRange(of: image) {
            let before = rest[..<found.lowerBound]
            rest = rest[found.upperBound...]
            // A `p` separates the number from a name that ends with a digit.
            let number = image.last?.isNumber == true && rest.hasPrefix("p") ? rest.dropFirst() : rest
            let digits = number.prefix(while: \.isNumber)
            let end = digits.isEmpty ? rest : number[digits.endIndex...]
            guard (before.last ?? result.last).map(Self.isOfAPath) != true, !Self.goesOn(end) else {
                result += before + image
                continue
            }
            result += before + device
            rest = end
            guard !digits.isEmpty else { continue }
            result += (device.hasPrefix("/dev/disk/") ? "-part" : device.last?.isNumber == true ? "p" : "") + digits
        }
        return result + rest
    }

    private static func isOfAPath(_ character: Character) -> Bool {
        character.isLetter || character.isNumber || "/_-.~+@%".contains(character)
    }

    /// Whether a path goes on in what follows a part of it; a point may end a sentence.
    private static func goesOn(_ rest: Substring) -> Bool {
        guard let next = rest.first else { return false }
        return isOfAPath(next) && (next != "." || rest.dropFirst().first.map(isOfAPath) == true)
    }
}
