// Fetching the resources of an Ignition config: source, compression, hash.

import Encoding
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage

/// Settings for all fetches of a config.
public struct FetchSettings: Sendable {
    /// The proxies of http and https requests.
    public var proxies = ProxyRules()
    /// Seconds from a request to the start of its answer, for each attempt; `nil` means no limit.
    public var answerTimeout: Double? = 10
    /// Seconds for all attempts at one resource; `nil` means no limit.
    public var totalTimeout: Double?
    /// The PEM file of the machine's certificate authorities.
    public var authorities = TransferRequest.systemAuthorities
    /// PEM blocks of the authorities that the config brings.
    public var additionalAuthorities: [UInt8] = []
    /// Gives the machine's credentials for a cloud's storage; called when a fetch needs them, on any thread.
    public var credentials: @Sendable (CloudStorage) -> CloudCredentials = { _ in CloudCredentials() }
    /// Whether only sources that need no network may be used.
    public var isOffline = false
    /// Receives a line for each attempt; may be called on several threads at once.
    public var log: (@Sendable (String) -> Void)?
    /// The clock that a server's date may set forward if it is doubtful; `nil` if none may be set.
    public var clock: MachineClock?
    /// Called after the clock was set.
    public var clockWasSet: @Sendable (MachineClock.Change) -> Void = { _ in }
    /// Where each fetch is reported as a wait.
    public var waits = Waits.untold
    /// Receives the progress of a transfer a few times a second; may be called on several threads at once.
    public var progress: (@Sendable (TransferProgress) -> Void)?

    /// Creates the settings that hold without a config.
    public init() {}

    /// Takes the values of a config's `ignition.timeouts` and `ignition.proxy`.
    ///
    /// 0 seconds and less mean no limit, and so does a number of seconds that 32 bits cannot hold.
    public mutating func adopt(_ timeouts: IgnitionConfig.Timeouts, _ proxy: IgnitionConfig.Proxy) {
        func limit(_ seconds: Int) -> Double? { (1...Int(UInt32.max)).contains(seconds) ? Double(seconds) : nil }
        answerTimeout = limit(timeouts.httpResponseHeaders ?? 10)
        totalTimeout = limit(timeouts.httpTotal ?? 0)
        proxies = ProxyRules(proxy)
    }

    /// Adds the content of a certificate authority: one or more PEM blocks.
    public mutating func trust(_ pem: [UInt8]) { additionalAuthorities += pem + [UInt8(ascii: "\n")] }
}

/// What a resource is for, as far as that changes how it is fetched.
public enum ResourcePurpose: Sendable {
    /// The content of a file.
    case content
    /// A config.
    ///
    /// Without a source it must still have the given hash. A redirect from https to http is not followed.
    case config
    /// A certificate authority or the key of a volume; a redirect from https to http is not followed.
    case trust
}

/// How an HTTP request differs from a plain GET.
public struct HTTPExchange: Sendable {
    /// The method; some metadata services give a token for a PUT.
    public var method = TransferRequest.Method.get
    /// Statuses below 500 after which another attempt is made.
    public var retriedStatuses: Set<Int> = []
    /// Whether the request comes from a port below 1024, which only root can use.
    public var fromReservedPort = false
    /// A Unix socket to use instead of the URL's host.
    public var socket: FilePath?

    /// Creates a plain GET.
    public init() {}
}

/// Fetches the resources of Ignition configs with the rules of Ignition.
///
/// The schemes are `data:`, `http:`, `https:`, `tftp:`, `s3:`, `arn:` and `gs:`.
///
/// Network faults and server errors are retried within the total time limit; other statuses are final. The hash is
/// that of the decompressed bytes.
public final class ResourceFetcher {
    /// The settings of all fetches.
    public var settings: FetchSettings
    /// One request and its response.
    typealias Perform = (TransferRequest, any TransferReceiver) throws -> ResponseHead

    private let perform: Perform
    private let pause: (Double) -> Void
    /// The contents of certificate authorities by source and hash, so that each is fetched once.
    private var authorities: [[String]: [UInt8]] = [:]
    /// The regions of buckets by name.
    private var regions: [String: String] = [:]
    /// Called during a transfer; `false` ends it.
    public var isWanted: () -> Bool

    /// Creates a fetcher; `pause` waits for a number of seconds, and is a sleep where it is `nil`.
    public convenience init(_ settings: FetchSettings = FetchSettings(), pause: ((Double) -> Void)? = nil) {
        // The transfer keeps its connections for the next request.
        var transfer: Transfer?
        self.init(settings, pause: pause) { request, receiver in
            let kept = try transfer ?? Transfer()
            transfer = kept
            return try kept.perform(request, to: receiver)
        }
    }

    init(_ settings: FetchSettings, pause: ((Double) -> Void)?, perform: @escaping Perform) {
        self.settings = settings
        self.perform = perform
        let isCancelled = settings.waits.isCancelled
        self.pause = pause ?? { sleep(seconds: $0, unless: isCancelled) }
        isWanted = { !isCancelled() }
    }

    /// Fetches certificate authorities and trusts them from then on.
    ///
    /// Each is fetched with the trust that holds before the call.
    ///
    /// - Parameter resources: The config's `certificateAuthorities`.
    /// - Returns: The content of each, for ``IgnitionConfig/inliningAuthorities(_:)``.
    /// - Throws: ``ResourceFailure`` for the first that cannot be fetched or is not a certificate authority.
    @discardableResult
    public func trust(_ resources: [IgnitionConfig.Resource]) throws(ResourceFailure) -> [[UInt8]] {
        var contents: [[UInt8]] = []
        var added: [[UInt8]] = []
        for resource in resources {
            // One source with two hashes is checked against both.
            let name = [resource.source?.text ?? "", resource.verification.hash ?? ""]
            if let known = authorities[name] {
                contents.append(known)
                continue
            }
            let content = try bytes(of: resource, purpose: .trust)
            do { try checkCertificates(content) } catch {
                throw ResourceFailure(source: resource.shown, reason: .certificate(error))
            }
            authorities[name] = content
            contents.append(content)
            added.append(content)
        }
        for content in added { settings.trust(content) }
        return contents
    }

    /// Fetches a whole resource into memory; without a source it is empty.
    ///
    /// - Parameters:
    ///   - resource: What to fetch.
    ///   - exchange: How HTTP is used; metadata services differ.
    ///   - purpose: What the resource is for.
    /// - Returns: The decompressed bytes.
    /// - Throws: ``ResourceFailure`` for this resource.
    public func bytes(
        of resource: IgnitionConfig.Resource, exchange: HTTPExchange = HTTPExchange(),
        purpose: ResourcePurpose = .content
    ) throws(ResourceFailure) -> [UInt8] {
        let sink = MemorySink()
        try fetch(resource, into: sink, exchange, purpose)
        return sink.bytes
    }

    /// Fetches what is at a URL into memory.
    ///
    /// - Parameters:
    ///   - url: Where it is.
    ///   - purpose: What it is for.
    /// - Returns: The bytes.
    /// - Throws: ``ResourceFailure`` for this URL.
    public func bytes(at url: SourceURL, purpose: ResourcePurpose) throws(ResourceFailure) -> [UInt8] {
        let sink = MemorySink()
        try fetch(IgnitionConfig.Resource(source: .url(url)), into: sink, HTTPExchange(), purpose)
        return sink.bytes
    }

    /// Writes the resource into an open file while it arrives, replacing the content; returns its length.
    ///
    /// If it throws, the file has a part that is not to be used.
    @discardableResult
    public func write(
        _ resource: IgnitionConfig.Resource, to descriptor: Int32, purpose: ResourcePurpose = .content
    ) throws(ResourceFailure) -> UInt64 {
        let sink = FileSink(descriptor)
        try fetch(resource, into: sink, HTTPExchange(), purpose)
        return sink.count
    }

    private func fetch(
        _ resource: IgnitionConfig.Resource, into sink: any ByteSink, _ exchange: HTTPExchange,
        _ purpose: ResourcePurpose
    ) throws(ResourceFailure) {
        do {
            var wanted: Digest?
            if let hash = resource.verification.hash, !hash.isEmpty {
                guard let digest = try? Digest(parsing: hash) else { throw ResourceFailure.Reason.malformedHash }
                wanted = digest
            }
            guard let source = resource.source, !source.isEmpty else {
                if purpose != .config { wanted = nil }
                return try ResourceDecoder(sink, isCompressed: false, wanted: wanted).finish()
            }
            if let url = source.url, url.isData {
                let content: DataURL
                do { content = try DataURL(parsing: url.text) } catch { throw ResourceFailure.Reason.dataURL(error) }
                let decoder = try ResourceDecoder(sink, isCompressed: resource.isCompressed, wanted: wanted)
                try content.bytes.withUnsafeBytes { try decoder.receive($0) }
                try decoder.finish()
            } else if settings.isOffline {
                throw ResourceFailure.Reason.offline
            } else {
                try download(
                    resource, source.get(), exchange, purpose, hasHash: wanted != nil,
                    decoder: { try ResourceDecoder(sink, isCompressed: resource.isCompressed, wanted: wanted) })
            }
        } catch {
            throw ResourceFailure(source: resource.shown, reason: reason(for: error))
        }
    }

    func reason(for error: any Error) -> ResourceFailure.Reason {
        switch error {
        case let reason as ResourceFailure.Reason: reason
        case let fault as Gunzip.Fault: .compression(fault)
        case let errno as Errno: .cannotWrite(errno)
        case let fault as TransferFault: .transfer(fault, attempts: 1)
        case let fault as SourceURL.Fault: .malformedURL(fault)
        default: .unexpected("\(error)")
        }
    }

    private func download(
        _ resource: IgnitionConfig.Resource, _ url: SourceURL, _ exchange: HTTPExchange,
        _ purpose: ResourcePurpose, hasHash: Bool, decoder: () throws -> ResourceDecoder
    ) throws {
        let scheme = url.scheme
        let deadline = Deadline(limit: scheme == "tftp" ? nil : settings.totalTimeout)
        let make: () throws -> (url: SourceURL, headers: [(name: String, value: String)])
        var isSigned = false
        switch scheme {
        case "http", "https", "tftp":
            let headers = try customHeaders(of: resource)
            make = { (url, headers) }
        case "gs":
            guard let place = googleStorageURL(url) else { throw ResourceFailure.Reason.malformedObject }
            let token = settings.credentials(.google).googleToken
            let login = token.map { [(name: "Authorization", value: "Bearer \($0)")] } ?? []
            make = { (place, login) }
        case "s3", "arn":
            if resource.isCompressed { throw ResourceFailure.Reason.compressedObject }
            let identity = settings.credentials(.amazon)
            guard let object = S3Object(url, instanceRegion: identity.awsRegion) else {
                throw ResourceFailure.Reason.malformedObject
            }
            let credentials = identity.aws
            if object.accessPoint != nil, credentials == nil { throw ResourceFailure.Reason.anonymousAccessPoint }
            let region = try region(of: object, deadline)
            isSigned = credentials != nil
            make = { try object.signedRequest(in: region, as: credentials, time: UTCTime(time(nil)).basicText) }
        default: throw ResourceFailure.Reason.unsupportedScheme(scheme)
        }
        var receiver: ResourceReceiver?
        func fetch(believingAnybody: Bool) throws -> ResponseHead {
            try untilDone(
                url, deadline, retries: scheme != "tftp", retriedStatuses: exchange.retriedStatuses
            ) {
                let made = try make()
                var request = request(made.url, adding: made.headers)
                request.method = exchange.method
                request.fromReservedPort = exchange.fromReservedPort
                request.socket = exchange.socket
                request.followsToPlainHTTP = purpose == .content
                if believingAnybody { request.trust = .anybody(withCredentials: settings.authorities) }
                // libcurl divides this time: five tries of five seconds for each packet.
                if scheme == "tftp" { request.connectTimeout = 25 }
                return request
            } receiver: { wait in
                let fresh = ResourceReceiver(try decoder(), wait, settings.progress, isWanted)
                receiver = fresh
                return fresh
            } isDone: { head in
                switch head.status {
                case 200, 204: return true
                case 404 where !exchange.retriedStatuses.contains(404): throw ResourceFailure.Reason.notFound
                case 403:
                    if isSigned, let skew = ClockSkew(head, now: time(nil)) {
                        throw ResourceFailure.Reason.clockSkew(skew)
                    }
                    return false
                default: return false
                }
            }
        }
        let head: ResponseHead
        do {
            head = try fetch(believingAnybody: false)
        } catch ResourceFailure.Reason.transfer(let fault, _)
            where fault.isCertificateOfTheFuture && hasHash && resource.httpHeaders.isEmpty
            && settings.clock?.isDoubtful == true && ["http", "https"].contains(scheme)
        {
            // This clock cannot judge the certificate, and does not need
            // to: the hash tells whether the bytes are right. If they
            // are, the server's date is better than the doubtful clock.
            head = try fetch(believingAnybody: true)
        }
        try receiver?.decoder.finish()
        if hasHash, let date = head.date, let change = settings.clock?.setForward(to: date, of: url.host) {
            settings.clockWasSet(change)
        }
    }

    /// The region of the object's bucket, which S3 itself names.
    private func region(of object: S3Object, _ deadline: Deadline) throws -> String {
        if let accessPoint = object.accessPoint { return accessPoint.region }
        if let known = regions[object.bucket] { return known }
        let field = "x-amz-bucket-region"
        let url = try object.lookupURL
        let head = try untilDone(url, deadline, retries: true) {
            var request = request(url, adding: [])
            request.method = .head
            return request
        } receiver: { _ in
            NoBody()
        } isDone: { head in
            if head.status == 404 { throw ResourceFailure.Reason.notFound }
            return head.status < 500
        }
        let region = head.fields[field].flatMap { $0.isEmpty ? nil : $0 } ?? object.lookupRegion
        regions[object.bucket] = region
        return region
    }

    private func customHeaders(
        of resource: IgnitionConfig.Resource
    ) throws(ResourceFailure.Reason) -> [(name: String, value: String)] {
        var headers: [(name: String, value: String)] = []
        for header in resource.httpHeaders {
            guard let value = header.value else { throw .headerWithoutValue(header.name) }
            headers.append((header.name, value))
        }
        return headers
    }

    /// A request with the headers that Ignition sends; `more` replaces those of the same name, and the last one counts.
    func request(_ url: SourceURL, adding more: [(name: String, value: String)]) -> TransferRequest {
        var request = TransferRequest(url: url)
        var headers: [(name: String, value: String?)] = [
            ("User-Agent", "Ignition/\(ignitionVersion)"),
            ("Accept", "application/vnd.coreos.ignition+json;version=3.6.0, */*;q=0.1"),
            ("Accept-Encoding", "identity"),
        ]
        for (name, value) in more {
            headers.removeAll { $0.name.lowercased() == name.lowercased() }
            headers.append((name, value))
        }
        request.headers = headers
        request.keepsHeadersWhenRedirected = false
        request.proxies = settings.proxies
        request.trust = .authorities(settings.authorities, additional: settings.additionalAuthorities)
        request.answerTimeout = settings.answerTimeout
        return request
    }

    /// Repeats a request until it succeeds, is refused, or the time is over.
    ///
    /// - Parameters:
    ///   - source: The URL that is reported as waited for.
    ///   - deadline: The time limit of all attempts.
    ///   - retries: Whether there is more than one attempt.
    ///   - retriedStatuses: Statuses below 500 after which another attempt is made.
    ///   - isFinal: Whether a fault that is usually transient is final here.
    ///   - make: Makes the request of one attempt.
    ///   - receiver: Makes the receiver of one attempt.
    ///   - isDone: Whether an answer is a success; what it throws is final.
    /// - Returns: The head of the successful answer.
    /// - Throws: `ResourceFailure.Reason`, or what `receiver` or `isDone` threw.
    @discardableResult
    func untilDone(
        _ source: SourceURL, _ deadline: Deadline, retries: Bool, retriedStatuses: Set<Int> = [],
        isFinal: (TransferFault) -> Bool = { _ in false }, request make: () throws -> TransferRequest,
        receiver: (OpenWait) throws -> any TransferReceiver, isDone: (ResponseHead) throws -> Bool
    ) throws -> ResponseHead {
        let wait = Wait(
            for: "\(source)", reason: "no answer yet",
            deadline: deadline.left.map { Machine.uptime() + $0 })
        return try settings.waits.wait(for: wait) { wait in
            try untilDone(
                wait, deadline, retries: retries, retriedStatuses: retriedStatuses, isFinal: isFinal, request: make,
                receiver: receiver, isDone: isDone)
        }
    }

    private func untilDone(
        _ wait: OpenWait, _ deadline: Deadline, retries: Bool, retriedStatuses: Set<Int>,
        isFinal: (TransferFault) -> Bool, request make: () throws -> TransferRequest,
        receiver: (OpenWait) throws -> any TransferReceiver, isDone: (ResponseHead) throws -> Bool
    ) throws -> ResponseHead {
        var last: TransferFault?
        for attempt in 1... {
            var request = try make()
            request.totalTimeout = deadline.left
            if let left = request.totalTimeout, left <= 0 {
                throw ResourceFailure.Reason.outOfTime(seconds: deadline.seconds, last: last)
            }
            if !isWanted() || settings.waits.isCancelled() { throw ResourceFailure.Reason.cancelled }
            settings.log?("\(request.method.rawValue) \(request.url): attempt #\(attempt)")
            let fault: TransferFault
            do {
                let head = try perform(request, try receiver(wait))
                if try isDone(head) { return head }
                fault = head.fault
            } catch let error as TransferFault {
                fault = error
            }
            settings.log?("\(request.method.rawValue) \(request.url): \(fault)")
            if case .outOfTime = fault {
                throw ResourceFailure.Reason.outOfTime(seconds: deadline.seconds, last: last)
            }
            guard retries, !isFinal(fault),
                fault.isTransientForIgnition || fault.status.map(retriedStatuses.contains) == true
            else {
                throw ResourceFailure.Reason.transfer(fault, attempts: attempt)
            }
            last = fault
            wait.failed(attempt, because: "\(fault)", advice: fault.advice)
            let delay = RetryPolicy.ignition.delay(afterFailures: attempt, asked: nil, chance: 0)
            pause(deadline.left.map { min(delay, max(0, $0)) } ?? delay)
        }
        throw ResourceFailure.Reason.cancelled
    }
}

extension IgnitionConfig.Resource {
    fileprivate var shown: RedactedURL { source?.redacted ?? RedactedURL("") }
}

/// The time limit of all attempts at one resource.
struct Deadline {
    /// Seconds; `nil` means no limit.
    var limit: Double?
    private let start = monotonicSeconds()

    init(limit: Double?) { self.limit = limit }

    var left: Double? { limit.map { $0 - (monotonicSeconds() - start) } }
    var seconds: Int { wholeSeconds(limit ?? 0) }
}

/// How far a server's clock and this one are apart, if that is why a signature was refused; seconds since 1970.
public struct ClockSkew: Equatable, Sendable, CustomStringConvertible {
    /// The time on the server's clock.
    public var server: Int
    /// The time on this machine's clock.
    public var here: Int

    /// The difference that Amazon allows, in seconds.
    private static let allowed = 900

    /// Reads the head of a refusal; `nil` if the clocks are not the reason.
    init?(_ head: ResponseHead, now: Int) {
        guard let date = head.date, abs(date - now) > Self.allowed else { return nil }
        server = date
        here = now
    }

    /// What is wrong, for a message.
    public var description: String {
        "the server's clock says \(utcText(server)), this machine's \(utcText(here)); a signature is valid for"
            + " 15 minutes"
    }
}
