// A resource fetched as the boot would, to see whether it can be had.

import Encoding
import Fetching
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage

/// What to fetch by hand, and how.
public struct FetchTrial {
    /// What to fetch.
    var url: ConfigURL
    /// A file; `nil` is standard output.
    public var output: String?
    /// The wanted hash, as a config writes it: `sha512-...`.
    public var hash: String?
    /// Whether what comes is gzip, to be unpacked.
    public var isCompressed = false
    /// `Name: value`, each.
    public var headers: [String] = []
    /// PEM files of certificate authorities that are trusted as well.
    public var authorities: [String] = []
    /// For http and https, as the kernel command line has it.
    public var proxy: String?
    /// Hosts for which no proxy is used.
    public var noProxy: [String] = []
    /// Seconds for all attempts; 0 means no limit.
    public var timeout = 60
    /// Seconds until an answer begins; 0 means no limit.
    public var answerTimeout = 10

    /// A URL, with the boot's own limits.
    public init(url: String) { self.url = ConfigURL(url) }

    /// Fetches it.
    ///
    /// - Parameters:
    ///   - log: Told of every attempt.
    ///   - progress: Told a few times a second how far it is; `nil`: nobody asks.
    /// - Throws: Why it cannot be had, or cannot be written.
    public func run(
        log: @escaping @Sendable (String) -> Void, progress: (@Sendable (TransferProgress) -> Void)?
    ) throws {
        var settings = try settings()
        settings.log = log
        settings.progress = progress
        let fetcher = ResourceFetcher(settings)
        try fetcher.trust(
            try authorities.map { name in
                let path = FilePath(name)
                let pem = try Files.read(path)
                return IgnitionConfig.Resource(pem)
            })
        do { try fetch(with: fetcher) } catch let failure as ResourceFailure { throw TrialFailure(cause: failure) }
    }

    /// A failure whose advice names the option of the command in place of the config's field.
    private struct TrialFailure: Error, CustomStringConvertible, Advising {
        var cause: ResourceFailure
        var description: String { "\(cause)" }
        var advice: [String] { cause.advice(limit: "The limit is set with --timeout.") }
    }

    private func fetch(with fetcher: ResourceFetcher) throws {
        guard let output else {
            let bytes = try fetcher.bytes(of: resource)
            return try Files.naming("write to", "standard output") { () throws(Errno) in
                try Files.writeAll(bytes, to: STDOUT_FILENO)
            }
        }
        let descriptor = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileFault("write", FilePath(output), Errno(rawValue: errno)) }
        defer { close(descriptor) }
        do {
            try fetcher.write(resource, to: descriptor)
        } catch {
            // A part of it must not be taken for the whole. A device or a pipe is not ours to remove.
            let status = Files.status(FilePath(output), followingLinks: false)
            if status.map({ $0.st_mode & S_IFMT == S_IFREG }) == true { unlink(output) }
            throw error
        }
    }

    private func settings() throws -> FetchSettings {
        let proxy = try proxy.map { text in
            try step("reading --proxy \(RedactedURL(text))") { try SourceURL(parsingProxy: text) }
        }
        var settings = FetchSettings()
        settings.totalTimeout = timeout == 0 ? nil : Double(timeout)
        settings.answerTimeout = answerTimeout == 0 ? nil : Double(answerTimeout)
        settings.proxies = ProxyRules(http: proxy, https: proxy, exceptions: noProxy)
        return settings
    }

    private var resource: IgnitionConfig.Resource {
        var resource = IgnitionConfig.Resource(source: url)
        resource.compression = isCompressed ? "gzip" : nil
        resource.verification.hash = hash
        resource.httpHeaders = headers.map { text in
            var header = IgnitionConfig.HTTPHeader()
            let name = text.prefix { $0 != ":" }
            header.name = String(name)
            // Without a colon there is no value, which the fetch tells.
            header.value =
                name.count < text.count ? String(text.dropFirst(name.count + 1).drop { $0 == " " }) : nil
            return header
        }
        return resource
    }
}
