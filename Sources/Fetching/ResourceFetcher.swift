// The resources of an Ignition config: a source, its compression, its hash.

import Glibc
import IgnitionConfig
import LinuxSystem
import LiveImage
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

/// Why a resource could not be had.
public struct ResourceFailure: Error, Sendable, CustomStringConvertible, Advising {
    public enum Reason: Equatable, Sendable {
        /// HTTP status 404.
        case notFound
        case transfer(TransferFault, attempts: Int)
        case outOfTime(seconds: Int, last: TransferFault?)
        case dataURL(DataURL.Fault)
        case unsupportedScheme(String)
        case headerWithoutValue(String)
        case malformedHash
        case wrongHash(wanted: String, found: String)
        case compression(Gunzip.Fault)
        case cannotWrite(Errno)
    }

    public var source: RedactedURL
    public var reason: Reason

    public var description: String {
        switch reason {
        case .notFound: "\(source): HTTP status 404 (not found)"
        case .transfer(let fault, let attempts):
            "\(source): \(fault)" + (attempts > 1 ? ", after \(attempts) attempts" : "")
        case .outOfTime(let seconds, let last):
            "\(source): not here after \(seconds) s" + (last.map { "; the last fault: \($0)" } ?? "")
        case .dataURL(let fault): "\(fault)"
        case .unsupportedScheme(let scheme): "\(source): the scheme \(scheme): is not supported"
        case .headerWithoutValue(let name): "\(source): the HTTP header \(name) has no value"
        case .malformedHash: "\(source): the wanted hash is malformed"
        case .wrongHash(let wanted, let found): "\(source): its hash is \(found), not \(wanted)"
        case .compression(let fault): "\(source): \(fault)"
        case .cannotWrite(let reason): "\(source): cannot be stored: \(reason)"
        }
    }

    public var advice: [String] {
        switch reason {
        case .notFound: ["Check the URL: the server has nothing there."]
        case .transfer(let fault, _): fault.advice
        case .outOfTime(_, let last): (last?.advice ?? []) + ["ignition.timeouts.httpTotal sets the limit."]
        case .wrongHash: ["Either the file was changed or the config is out of date: compare both with their source."]
        case .compression(.notGzip): ["Leave \"compression\" out, or serve the file compressed."]
        default: []
        }
    }
}

/// Fetches the resources of Ignition configs as Ignition does: `data:`, `http:`, `https:` and `tftp:`.
///
/// Network faults and server errors are retried within the total time limit, other statuses are
/// final. The hash counts for the bytes after decompression.
public final class ResourceFetcher {
    public var settings: FetchSettings
    private var transfer: Transfer?
    private let pause: (Double) -> Void

    /// - Parameter pause: Waits this many seconds.
    public init(_ settings: FetchSettings = FetchSettings(), pause: @escaping (Double) -> Void = sleep(seconds:)) {
        self.settings = settings
        self.pause = pause
    }

    /// The whole resource in memory; no bytes where it has no source.
    ///
    /// - Parameter checksEmpty: Whether a resource without a source must still have the wanted hash, as
    ///   configs must and files need not.
    public func bytes(
        of resource: IgnitionConfig.Resource, checksEmpty: Bool = false
    ) throws(ResourceFailure) -> [UInt8] {
        let sink = MemorySink()
        try fetch(resource, into: sink, checksEmpty: checksEmpty)
        return sink.bytes
    }

    /// Writes the resource into an open file as it arrives, replacing what is there; returns its length.
    ///
    /// Where it throws, the file holds a part that is not to be used.
    @discardableResult
    public func write(
        _ resource: IgnitionConfig.Resource, to descriptor: Int32
    ) throws(ResourceFailure) -> UInt64 {
        let sink = FileSink(descriptor)
        try fetch(resource, into: sink, checksEmpty: false)
        return sink.count
    }

    private func fetch(
        _ resource: IgnitionConfig.Resource, into sink: any ByteSink, checksEmpty: Bool
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
                if !checksEmpty { wanted = nil }
                try Decoder(sink, isCompressed: false, wanted: wanted).finish()
            } else if scheme == "data" {
                let content: DataURL
                do { content = try DataURL(parsing: source) } catch { throw ResourceFailure.Reason.dataURL(error) }
                let decoder = try Decoder(sink, isCompressed: resource.isCompressed, wanted: wanted)
                try content.bytes.withUnsafeBytes { try decoder.receive($0) }
                try decoder.finish()
            } else {
                guard ["http", "https", "tftp"].contains(scheme) else {
                    throw ResourceFailure.Reason.unsupportedScheme(scheme)
                }
                try download(
                    try request(for: resource, source), isHTTP: scheme != "tftp",
                    decoder: { try Decoder(sink, isCompressed: resource.isCompressed, wanted: wanted) })
            }
        } catch {
            throw ResourceFailure(source: RedactedURL(source), reason: reason(for: error))
        }
    }

    private func reason(for error: any Error) -> ResourceFailure.Reason {
        switch error {
        case let reason as ResourceFailure.Reason: reason
        case let fault as Gunzip.Fault: .compression(fault)
        case let errno as Errno: .cannotWrite(errno)
        case let fault as TransferFault: .transfer(fault, attempts: 1)
        default: .transfer(.protocolError("\(error)"), attempts: 1)
        }
    }

    private func request(
        for resource: IgnitionConfig.Resource, _ source: String
    ) throws(ResourceFailure.Reason) -> TransferRequest {
        var request = TransferRequest(url: source)
        var headers: [(name: String, value: String?)] = [
            ("User-Agent", "Ignition/\(ignitionVersion)"),
            ("Accept", "application/vnd.coreos.ignition+json;version=3.6.0, */*;q=0.1"),
            ("Accept-Encoding", "identity"),
        ]
        for header in resource.httpHeaders {
            guard let value = header.value else { throw .headerWithoutValue(header.name) }
            headers.removeAll { $0.name.lowercased() == header.name.lowercased() }
            headers.append((header.name, value))
        }
        request.headers = headers
        request.keepsHeadersWhenRedirected = false
        request.proxies = settings.proxies
        request.trust = .authorities(settings.authorities, additional: settings.additionalAuthorities)
        request.answerTimeout = settings.answerTimeout
        return request
    }

    /// Tries until it works, is refused, or the time is over.
    private func download(
        _ request: TransferRequest, isHTTP: Bool, decoder: () throws -> Decoder
    ) throws {
        let start = monotonicSeconds()
        let limit = isHTTP ? settings.totalTimeout : nil
        var last: TransferFault?
        for attempt in 1... {
            var request = request
            request.totalTimeout = limit.map { $0 - (monotonicSeconds() - start) }
            if let left = request.totalTimeout, left <= 0 {
                throw ResourceFailure.Reason.outOfTime(seconds: Int(limit ?? 0), last: last)
            }
            let receiver = ResourceReceiver(try decoder())
            let fault: TransferFault
            do {
                let transfer = try self.transfer ?? Transfer()
                self.transfer = transfer
                let head = try transfer.perform(request, to: receiver)
                switch head.status {
                case 200, 204: return try receiver.decoder.finish()
                case 404: throw ResourceFailure.Reason.notFound
                default: fault = head.fault
                }
            } catch let error as TransferFault {
                fault = error
            }
            if case .outOfTime = fault {
                throw ResourceFailure.Reason.outOfTime(seconds: Int(limit ?? 0), last: last)
            }
            guard isHTTP, fault.isTransientForIgnition else {
                throw ResourceFailure.Reason.transfer(fault, attempts: attempt)
            }
            last = fault
            let delay = RetryPolicy.ignition.delay(afterFailures: attempt, asked: nil, chance: 0)
            pause(limit.map { min(delay, max(0, $0 - (monotonicSeconds() - start))) } ?? delay)
        }
    }
}

extension ResourceFailure.Reason: Error {}

private final class ResourceReceiver: TransferReceiver {
    let decoder: Decoder

    init(_ decoder: Decoder) { self.decoder = decoder }

    /// Only these two bring a resource; another success (206) brings something else.
    func begin(_ head: ResponseHead) throws {
        guard head.status == 200 || head.status == 204 else { throw head.fault }
    }

    func receive(_ bytes: UnsafeRawBufferPointer) throws { try decoder.receive(bytes) }
}

/// Decompresses, hashes and stores.
private final class Decoder {
    private let sink: any ByteSink
    private let gunzip: Gunzip?
    private let wanted: Digest?
    private var digest: MessageDigest

    init(_ sink: any ByteSink, isCompressed: Bool, wanted: Digest?) throws {
        self.sink = sink
        self.wanted = wanted
        gunzip = isCompressed ? try Gunzip() : nil
        digest = MessageDigest(wanted?.function == .sha512 ? .sha512 : .sha256)
        try sink.restart()
    }

    func receive(_ bytes: UnsafeRawBufferPointer) throws {
        if let gunzip { try gunzip.push(bytes, to: store) } else { try store(bytes) }
    }

    private func store(_ bytes: UnsafeRawBufferPointer) throws {
        if wanted != nil { digest.update(bytes) }
        try sink.write(bytes)
    }

    func finish() throws {
        try gunzip?.finish()
        guard let wanted else { return }
        let found = digest.finish()
        guard found == wanted.bytes else {
            let name = wanted.function.rawValue
            throw ResourceFailure.Reason.wrongHash(
                wanted: "\(name)-\(hex(wanted.bytes))", found: "\(name)-\(hex(found))")
        }
    }
}

private protocol ByteSink: AnyObject {
    /// Forgets everything written.
    func restart() throws(Errno)
    func write(_ bytes: UnsafeRawBufferPointer) throws(Errno)
}

private final class MemorySink: ByteSink {
    private(set) var bytes: [UInt8] = []

    func restart() { bytes = [] }
    func write(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }
}

private final class FileSink: ByteSink {
    private let descriptor: Int32
    private(set) var count: UInt64 = 0

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    func restart() throws(Errno) {
        count = 0
        guard ftruncate(descriptor, 0) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else { throw Errno(rawValue: errno) }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(Errno) {
        try Files.writeAll(bytes, to: descriptor)
        count += UInt64(bytes.count)
    }
}
