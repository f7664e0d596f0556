// The resources of an Ignition config: a source, its compression, its hash.

import Encoding
import Glibc
import IgnitionConfig
import LinuxSystem
import Reporting
import SystemPackage

/// What holds for all fetches of a config.
public struct FetchSettings: Sendable {
    public var proxies = ProxyRules()
    /// Seconds from a request to the start of its answer, per attempt; `nil`: no limit.
    public var answerTimeout: Double? = 10
    /// Seconds for all attempts at one resource; `nil`: no limit.
    public var totalTimeout: Double?
    /// PEM files of whom to trust: the machine's own, and those the config brings.
    public var authorities = TransferRequest.systemAuthorities
    public var additionalAuthorities: [UInt8] = []
    /// What the machine may show to a cloud's storage; asked where a fetch needs it, on any thread.
    public var credentials: @Sendable (CloudStorage) -> CloudCredentials = { _ in CloudCredentials() }
    /// Nothing but what needs no network.
    public var isOffline = false
    /// Told of every attempt; may be called on several threads at once.
    public var log: (@Sendable (String) -> Void)?
    /// The clock that a server's date may set forward, where it is doubtful; `nil`: none is set.
    public var clock: MachineClock?
    /// Told that it was.
    public var clockWasSet: @Sendable (MachineClock.Change) -> Void = { _ in }
    /// Told of everything that is fetched, for as long as it takes.
    public var waits = Waits.untold
    /// Told a few times a second how far a transfer is; may be called on several threads at once.
    public var progress: (@Sendable (TransferProgress) -> Void)?
    /// What tests reach in place of a cloud's URL.
    var standIn: (@Sendable (String) -> String)?

    public init() {}

    /// Takes over a config's `ignition.timeouts` and `ignition.proxy`; 0 seconds mean no limit.
    public mutating func adopt(_ timeouts: IgnitionConfig.Timeouts, _ proxy: IgnitionConfig.Proxy) {
        func limit(_ seconds: Int) -> Double? { seconds == 0 ? nil : Double(seconds) }
        answerTimeout = limit(timeouts.httpResponseHeaders ?? 10)
        totalTimeout = limit(timeouts.httpTotal ?? 0)
        proxies = ProxyRules(proxy)
    }

    /// Adds the content of a certificate authority resource: one or more PEM blocks.
    public mutating func trust(_ pem: [UInt8]) { additionalAuthorities += pem + [UInt8(ascii: "\n")] }
}

/// What a resource is for, as far as it changes how it is fetched.
public enum ResourcePurpose: Sendable {
    /// A file's content.
    case content
    /// A config: without a source it must still have the wanted hash, and who asks by https is not sent on to http.
    case config
    /// A certificate authority or the key of a volume: not by http either, where https was asked for.
    case trust
}

/// How HTTP is spoken, where it is not a plain GET.
public struct HTTPExchange: Sendable {
    /// Some metadata services hand out a token for a PUT.
    public var method = TransferRequest.Method.get
    /// Statuses below 500 after which another attempt is made.
    public var retriedStatuses: Set<Int> = []
    /// Whether the request comes from a port below 1024, which only root may use.
    public var fromReservedPort = false
    /// A Unix socket to use in the place of the URL's host.
    public var socket: FilePath?

    public init() {}
}

/// Fetches the resources of Ignition configs as Ignition does: `data:`, `http:`, `https:`, `tftp:`, `s3:`, `arn:`
/// and `gs:`.
///
/// Network faults and server errors are retried within the total time limit, other statuses are
/// final. The hash counts for the bytes after decompression.
public final class ResourceFetcher {
    public var settings: FetchSettings
    private var transfer: Transfer?
    private let pause: (Double) -> Void
    /// The contents of certificate authorities by their sources: each is fetched once.
    private var authorities: [String: [UInt8]] = [:]
    /// The regions of buckets.
    private var regions: [String: String] = [:]
    /// Asked while a transfer is under way; `false` ends it.
    public var isWanted: () -> Bool = { true }

    /// - Parameter pause: Waits this many seconds.
    public init(_ settings: FetchSettings = FetchSettings(), pause: @escaping (Double) -> Void = sleep(seconds:)) {
        self.settings = settings
        self.pause = pause
    }

    /// Fetches certificate authorities with the trust in force so far; from then on they are trusted as well.
    ///
    /// - Returns: The content of each, for ``IgnitionConfig/inliningAuthorities(_:)``.
    @discardableResult
    public func trust(_ resources: [IgnitionConfig.Resource]) throws(ResourceFailure) -> [[UInt8]] {
        var contents: [[UInt8]] = []
        var added: [[UInt8]] = []
        for resource in resources {
            let source = resource.source ?? ""
            if let known = authorities[source] {
                contents.append(known)
                continue
            }
            let content = try bytes(of: resource, purpose: .trust)
            do { try checkCertificates(content) } catch {
                throw ResourceFailure(source: RedactedURL(source), reason: .certificate(error))
            }
            authorities[source] = content
            contents.append(content)
            added.append(content)
        }
        for content in added { settings.trust(content) }
        return contents
    }

    /// The whole resource in memory; no bytes where it has no source.
    ///
    /// - Parameters:
    ///   - exchange: How HTTP is spoken; metadata services have ways of their own.
    public func bytes(
        of resource: IgnitionConfig.Resource, exchange: HTTPExchange = HTTPExchange(),
        purpose: ResourcePurpose = .content
    ) throws(ResourceFailure) -> [UInt8] {
        let sink = MemorySink()
        try fetch(resource, into: sink, exchange, purpose)
        return sink.bytes
    }

    /// Writes the resource into an open file as it arrives, replacing what is there; returns its length.
    ///
    /// Where it throws, the file holds a part that is not to be used.
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
        let source = resource.source ?? ""
        do {
            var wanted: Digest?
            if let hash = resource.verification.hash, !hash.isEmpty {
                guard let digest = try? Digest(parsing: hash) else { throw ResourceFailure.Reason.malformedHash }
                wanted = digest
            }
            let scheme = source.prefix { $0 != ":" }.lowercased()
            if source.isEmpty {
                if purpose != .config { wanted = nil }
                try ResourceDecoder(sink, isCompressed: false, wanted: wanted).finish()
            } else if scheme == "data" {
                let content: DataURL
                do { content = try DataURL(parsing: source) } catch { throw ResourceFailure.Reason.dataURL(error) }
                let decoder = try ResourceDecoder(sink, isCompressed: resource.isCompressed, wanted: wanted)
                try content.bytes.withUnsafeBytes { try decoder.receive($0) }
                try decoder.finish()
            } else if settings.isOffline {
                throw ResourceFailure.Reason.offline
            } else {
                try download(
                    resource, source, scheme, exchange, purpose, isVouchedFor: wanted != nil,
                    decoder: { try ResourceDecoder(sink, isCompressed: resource.isCompressed, wanted: wanted) })
            }
        } catch {
            throw ResourceFailure(source: RedactedURL(source), reason: reason(for: error))
        }
    }

    func reason(for error: any Error) -> ResourceFailure.Reason {
        switch error {
        case let reason as ResourceFailure.Reason: reason
        case let fault as Gunzip.Fault: .compression(fault)
        case let errno as Errno: .cannotWrite(errno)
        case let fault as TransferFault: .transfer(fault, attempts: 1)
        default: .unexpected("\(error)")
        }
    }

    private func download(
        _ resource: IgnitionConfig.Resource, _ source: String, _ scheme: String, _ exchange: HTTPExchange,
        _ purpose: ResourcePurpose, isVouchedFor: Bool, decoder: () throws -> ResourceDecoder
    ) throws {
        let deadline = Deadline(limit: scheme == "tftp" ? nil : settings.totalTimeout)
        guard let url = try? SourceURL(parsing: source) else { throw TransferFault.badURL }
        let make: () -> (url: String, headers: [(name: String, value: String)])
        var isSigned = false
        switch scheme {
        case "http", "https", "tftp":
            let headers = try customHeaders(of: resource)
            make = { (source, headers) }
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
            make = { object.signedRequest(in: region, as: credentials, time: UTCTime(time(nil)).basicText) }
        default: throw ResourceFailure.Reason.unsupportedScheme(scheme)
        }
        var receiver: ResourceReceiver?
        func fetch(believingAnybody: Bool) throws -> ResponseHead {
            try untilDone(
                source, deadline, retries: scheme != "tftp", retriedStatuses: exchange.retriedStatuses
            ) {
                let made = make()
                var request = request(made.url, adding: made.headers)
                request.method = exchange.method
                request.fromReservedPort = exchange.fromReservedPort
                request.socket = exchange.socket
                request.followsToPlainHTTP = purpose == .content
                if believingAnybody { request.trust = .anybody(withCredentials: settings.authorities) }
                // Five tries of five seconds for each packet, as libcurl shares them out.
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
            where fault.isCertificateOfTheFuture && isVouchedFor && resource.httpHeaders.isEmpty
            && settings.clock?.isDoubtful == true && ["http", "https"].contains(scheme)
        {
            // Its certificate cannot be judged by this clock, and need not be: the hash tells whether the bytes
            // are right, and then the server's date is as good as any.
            head = try fetch(believingAnybody: true)
        }
        try receiver?.decoder.finish()
        if isVouchedFor, let date = head.date, let change = settings.clock?.setForward(to: date, of: url.host) {
            settings.clockWasSet(change)
        }
    }

    /// The region of the object's bucket, as S3 itself says.
    private func region(of object: S3Object, _ deadline: Deadline) throws -> String {
        if let accessPoint = object.accessPoint { return accessPoint.region }
        if let known = regions[object.bucket] { return known }
        let field = "x-amz-bucket-region"
        let head = try untilDone(object.lookupURL, deadline, retries: true) {
            var request = request(object.lookupURL, adding: [])
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

    /// A request with Ignition's own headers, which give way to others of their names; of several the last counts.
    func request(_ url: String, adding more: [(name: String, value: String)]) -> TransferRequest {
        var request = TransferRequest(url: settings.standIn?(url) ?? url)
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

    /// Tries until it works, is refused, or the time is over.
    ///
    /// - Parameters:
    ///   - source: What people are told that they wait for; its secrets are left out.
    ///   - make: The request of one attempt.
    ///   - isFinal: Whether a fault that passes elsewhere does not pass here.
    ///   - isDone: Whether an answer is a good one; what it throws is final.
    @discardableResult
    func untilDone(
        _ source: String, _ deadline: Deadline, retries: Bool, retriedStatuses: Set<Int> = [],
        isFinal: (TransferFault) -> Bool = { _ in false }, request make: () -> TransferRequest,
        receiver: (OpenWait) throws -> any TransferReceiver, isDone: (ResponseHead) throws -> Bool
    ) throws -> ResponseHead {
        let wait = Wait(
            for: "\(RedactedURL(source))", reason: "no answer yet",
            deadline: deadline.left.map { Machine.uptime() + $0 })
        return try settings.waits.wait(for: wait) { wait in
            try untilDone(
                wait, deadline, retries: retries, retriedStatuses: retriedStatuses, isFinal: isFinal, request: make,
                receiver: receiver, isDone: isDone)
        }
    }

    private func untilDone(
        _ wait: OpenWait, _ deadline: Deadline, retries: Bool, retriedStatuses: Set<Int>,
        isFinal: (TransferFault) -> Bool, request make: () -> TransferRequest,
        receiver: (OpenWait) throws -> any TransferReceiver, isDone: (ResponseHead) throws -> Bool
    ) throws -> ResponseHead {
        var last: TransferFault?
        for attempt in 1... {
            var request = make()
            request.totalTimeout = deadline.left
            if let left = request.totalTimeout, left <= 0 {
                throw ResourceFailure.Reason.outOfTime(seconds: deadline.seconds, last: last)
            }
            if !isWanted() { throw ResourceFailure.Reason.cancelled }
            settings.log?("\(request.method.rawValue) \(RedactedURL(request.url)): attempt #\(attempt)")
            let fault: TransferFault
            do {
                let transfer = try self.transfer ?? Transfer()
                self.transfer = transfer
                let head = try transfer.perform(request, to: try receiver(wait))
                if try isDone(head) { return head }
                fault = head.fault
            } catch let error as TransferFault {
                fault = error
            }
            settings.log?("\(request.method.rawValue) \(RedactedURL(request.url)): \(fault)")
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

/// The time limit of all attempts at one resource.
struct Deadline {
    /// Seconds.
    var limit: Double?
    private let start = monotonicSeconds()

    init(limit: Double?) { self.limit = limit }

    var left: Double? { limit.map { $0 - (monotonicSeconds() - start) } }
    var seconds: Int { wholeSeconds(limit ?? 0) }
}

/// How far a server's clock and ours are apart, where a signature does not count any more. Seconds since 1970.
public struct ClockSkew: Equatable, Sendable, CustomStringConvertible {
    public var server: Int
    public var here: Int

    /// What Amazon allows, in seconds.
    private static let allowed = 900

    /// `nil` where the head of a refusal tells of no such thing.
    init?(_ head: ResponseHead, now: Int) {
        guard let date = head.date, abs(date - now) > Self.allowed else { return nil }
        server = date
        here = now
    }

    public var description: String {
        "its clock says \(utcText(server)) and this machine's clock \(utcText(here)); it takes a signature"
            + " for 15 minutes"
    }
}
