// A libcurl handle: it sends a request and receives a head and a body.

import CCrypto
import CCurl
import Encoding
import Glibc
import IgnitionConfig
import LinuxSystem
import SystemPackage

/// A request and its conditions.
public struct TransferRequest: Sendable {
    /// How a server proves its identity.
    public enum Trust: Equatable, Sendable {
        /// Not at all: the bytes are verified by other means.
        ///
        /// If the URL has credentials, though, its server gets them only after its certificate was verified with these
        /// authorities.
        case anybody(withCredentials: FilePath = systemAuthorities)
        /// By the certificate authorities of a PEM file and those of `additional`, a PEM text.
        case authorities(FilePath, additional: [UInt8] = [])

        /// The authorities that verify the server of this URL; `nil` where it needs no certificate.
        func authorities(for url: SourceURL) -> (file: FilePath, additional: [UInt8])? {
            switch self {
            case .authorities(let file, let additional): (file, additional)
            case .anybody(let file): url.carriesCredentials ? (file, []) : nil
            }
        }
    }

    /// The PEM file of the machine's certificate authorities.
    public static let systemAuthorities = FilePath("/etc/ssl/certs/ca-certificates.crt")

    /// An HTTP method.
    public enum Method: String, Sendable { case get = "GET", head = "HEAD", put = "PUT", post = "POST" }

    /// The method for HTTP; only a POST sends a body.
    public var method = Method.get
    /// The body of a POST.
    public var body: [UInt8] = []
    /// The URL, whose scheme is `http`, `https` or `tftp`; a user and a password in it are sent to its host alone.
    public var url: SourceURL
    /// Whether the connection starts at a port below 1024, which only root can use.
    public var fromReservedPort = false
    /// A Unix socket to use instead of the URL's host.
    public var socket: FilePath?
    /// Header fields, which may include `User-Agent`; a field without a value is left out of the request.
    public var headers: [(name: String, value: String?)] = []
    /// Whether a redirected request has the headers again.
    public var keepsHeadersWhenRedirected = true
    /// Whether a redirect from https to http is followed, which loses the protection of https.
    public var followsToPlainHTTP = true
    /// The proxies of http and https requests.
    public var proxies = ProxyRules()
    /// How an https server proves its identity.
    public var trust = Trust.authorities(systemAuthorities)
    /// The time limit in seconds for the name, the connection and TLS together.
    public var connectTimeout: Double = 30
    /// The time limit in seconds from the request to the start of the answer.
    public var answerTimeout: Double?
    /// The time limit in seconds without a single byte.
    public var stallTimeout: Double = 30
    /// The time limit in seconds for everything, including redirects.
    public var totalTimeout: Double?

    /// Creates a GET request.
    public init(url: SourceURL) { self.url = url }
}

/// Takes what a transfer receives; what it throws ends the transfer.
public protocol TransferReceiver: AnyObject {
    /// Takes the head of a successful answer (2xx), whose body follows.
    func begin(_ head: ResponseHead) throws
    /// Takes the next part of the body, at most 16 KiB; the memory belongs to libcurl.
    func receive(_ bytes: UnsafeRawBufferPointer) throws
    /// Is called often, at least once a second, whether or not something arrived.
    func tick() throws
}

extension TransferReceiver {
    /// Does nothing.
    public func tick() {}
}

/// Owns a libcurl handle and its open connections, which later requests use again.
public final class Transfer {
    private let handle: UnsafeMutableRawPointer
    private let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
    private static let redirectLimit = 30
    /// What is wrong with the PEM file of the last request, beside which there are other authorities.
    private var authorityFault: FileFault?

    /// Creates a handle; it throws if there is no memory.
    public init() throws(TransferFault) {
        guard curlIsReady, let handle = curl_easy_init() else { throw .noMemory }
        self.handle = handle
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        curl_easy_cleanup(handle)
        errorText.deallocate()
    }

    /// Performs the request and follows redirects.
    ///
    /// - Parameters:
    ///   - request: What to ask for.
    ///   - receiver: Takes the head and the body of a successful answer.
    /// - Returns: The head of the final answer; if that was not a success, `receiver` was not called.
    /// - Throws: ``TransferFault``, or what `receiver` threw.
    public func perform(_ request: TransferRequest, to receiver: any TransferReceiver) throws -> ResponseHead {
        let start = monotonicSeconds()
        var hop = request
        var isAuthenticated = true
        for _ in 0...Self.redirectLimit {
            let url = hop.url
            guard ["http", "https", "tftp"].contains(url.scheme) else {
                throw TransferFault.unsupportedScheme(url.scheme)
            }
            guard !url.host.isEmpty else { throw TransferFault.badURL }
            isAuthenticated = isAuthenticated && url.scheme == "https" && request.trust.authorities(for: url) != nil
            if let total = request.totalTimeout {
                hop.totalTimeout = total - (monotonicSeconds() - start)
                guard hop.totalTimeout ?? 0 > 0 else { throw TransferFault.outOfTime(seconds: wholeSeconds(total)) }
            }
            let exchange = Exchange(hop, isAuthenticated: isAuthenticated, receiver: receiver, handle: handle)
            try performOne(hop, exchange)
            guard [301, 302, 303, 307, 308].contains(exchange.head.status), let target = redirectTarget else {
                return exchange.head
            }
            guard let next = try? SourceURL(parsing: target) else { throw TransferFault.redirectedToBadURL }
            guard ["http", "https"].contains(next.scheme) else {
                throw TransferFault.redirectedTo(scheme: next.scheme)
            }
            if url.scheme == "https", next.scheme == "http", !request.followsToPlainHTTP {
                throw TransferFault.redirectedToPlainHTTP
            }
            hop.url = next
            if !request.keepsHeadersWhenRedirected { hop.headers = [] }
        }
        throw TransferFault.tooManyRedirects
    }

    private func performOne(_ request: TransferRequest, _ exchange: Exchange) throws {
        curl_easy_reset(handle)
        errorText[0] = 0
        authorityFault = nil
        var fields: UnsafeMutablePointer<curl_slist>?
        defer { curl_slist_free_all(fields) }
        for (name, value) in request.headers {
            // curl leaves out a field without a text after its colon; after ";" it sends an empty one.
            fields = curl_slist_append(fields, value.map { $0.isEmpty ? "\(name);" : "\(name): \($0)" } ?? "\(name):")
        }
        configure(request)
        set(CURLOPT_HTTPHEADER, UnsafeMutableRawPointer(fields))
        let context = Unmanaged.passUnretained(exchange).toOpaque()
        firstlight_curl_set_data(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            Exchange.from(context)?.body(bytes, size * count) ?? 0
        }
        firstlight_curl_set_data(handle, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            Exchange.from(context)?.header(bytes, size * count) ?? 0
        }
        firstlight_curl_set_progress(handle) { context, _, _, _, _ in Exchange.from(context)?.tick() == true ? 0 : 1 }
        firstlight_curl_set_connected(handle) { context, _, _, _, _ in
            Exchange.from(context)?.sentAt = monotonicSeconds()
            return CURL_PREREQFUNC_OK
        }
        for option in [
            CURLOPT_WRITEDATA, CURLOPT_HEADERDATA, CURLOPT_XFERINFODATA, CURLOPT_PREREQDATA, CURLOPT_SSL_CTX_DATA,
        ] {
            set(option, context)
        }
        let result = withExtendedLifetime(exchange) { curl_easy_perform(handle) }
        if let failure = exchange.failure { throw failure }
        if exchange.isDone { return }
        guard result == CURLE_OK else { throw fault(result, request, exchange) }
        // A TFTP file without a single byte has not announced its head yet.
        try exchange.finish()
    }

    private func configure(_ request: TransferRequest) {
        let url = request.url
        set(CURLOPT_URL, url.text)
        set(CURLOPT_ERRORBUFFER, UnsafeMutableRawPointer(errorText))
        set(CURLOPT_PROTOCOLS_STR, "http,https,tftp")
        set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
        for (option, value) in [
            (CURLOPT_NOSIGNAL, 1), (CURLOPT_NOPROGRESS, 0), (CURLOPT_FOLLOWLOCATION, 0), (CURLOPT_HTTP09_ALLOWED, 0),
            (CURLOPT_TCP_KEEPALIVE, 1), (CURLOPT_SUPPRESS_CONNECT_HEADERS, 1), (CURLOPT_BUFFERSIZE, 512 << 10),
            (CURLOPT_NOBODY, request.method == .head ? 1 : 0),
            // The largest block that fits an Ethernet frame without fragments.
            (CURLOPT_TFTP_BLKSIZE, 1428),
            (CURLOPT_CONNECTTIMEOUT_MS, Self.milliseconds(request.connectTimeout)),
            (CURLOPT_TIMEOUT_MS, request.totalTimeout.map { Self.milliseconds($0) } ?? 0),
        ] {
            set(option, value)
        }
        if request.fromReservedPort {
            // The port is random, because the last one used may still be closing.
            let first = Int.random(in: 512..<768)
            set(CURLOPT_LOCALPORT, first)
            set(CURLOPT_LOCALPORTRANGE, 256)
        }
        // `..` in the key of an object is a part of its name.
        set(CURLOPT_PATH_AS_IS, 1)
        if let socket = request.socket { set(CURLOPT_UNIX_SOCKET_PATH, socket.string) }
        switch request.method {
        case .get, .head: break
        case .put: set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
        case .post:
            set(CURLOPT_POST, 1)
            set(CURLOPT_POSTFIELDSIZE, request.body.count)
            // curl keeps a copy of the bytes.
            request.body.withUnsafeBytes { bytes in
                set(CURLOPT_COPYPOSTFIELDS, UnsafeMutableRawPointer(mutating: bytes.baseAddress))
            }
            // When the time is over, curl does not wait for a silent name server.
            set(CURLOPT_QUICK_EXIT, 1)
        }
        // An empty text also keeps curl from reading the environment.
        set(CURLOPT_PROXY, request.proxies.proxy(for: url)?.text ?? "")
        set(CURLOPT_NOPROXY, "")
        guard url.scheme == "https" else { return }
        guard let (file, additional) = request.trust.authorities(for: url) else {
            set(CURLOPT_SSL_VERIFYPEER, 0)
            set(CURLOPT_SSL_VERIFYHOST, 0)
            return
        }
        firstlight_curl_set_string(handle, CURLOPT_CAPATH, nil)
        set(CURLOPT_CAINFO, file.string)
        if !additional.isEmpty {
            var bundle: [UInt8] = []
            do throws(FileFault) { bundle = try Files.read(file) } catch { authorityFault = error }
            bundle += [UInt8(ascii: "\n")] + additional
            _ = bundle.withUnsafeBytes {
                firstlight_curl_set_blob(handle, CURLOPT_CAINFO_BLOB, $0.baseAddress, $0.count)
            }
        }
        firstlight_curl_set_tls(handle) { _, context, exchange in
            Exchange.watchCertificates(of: OpaquePointer(context), for: exchange)
            return CURLE_OK
        }
    }

    /// At least one, because 0 would mean no limit, and at most what libcurl accepts.
    private static func milliseconds(_ seconds: Double) -> Int {
        Int(min(max(1, seconds * 1000), Double(Int32.max)))
    }

    private func fault(
        _ result: CURLcode, _ request: TransferRequest, _ exchange: Exchange
    ) -> TransferFault {
        if result == CURLE_OPERATION_TIMEDOUT, let total = request.totalTimeout,
            exchange.sentAt != nil || total <= request.connectTimeout
        {
            return .outOfTime(seconds: wholeSeconds(total))
        }
        if result == CURLE_PEER_FAILED_VERIFICATION, let validity = exchange.validity {
            return .certificateNotInForce(validity, now: time(nil))
        }
        var reason = 0
        var proxyStatus = 0
        firstlight_curl_get_long(handle, CURLINFO_OS_ERRNO, &reason)
        firstlight_curl_get_long(handle, CURLINFO_HTTP_CONNECTCODE, &proxyStatus)
        let fault = TransferFault(
            result, errno: reason, host: request.url.host, proxyStatus: proxyStatus, said: String(cString: errorText))
        // Its other authorities did not suffice, so the missing one may be among those that cannot be read.
        if case .certificate(let detail) = fault, let authorityFault {
            return .certificate("\(detail); \(authorityFault)")
        }
        return fault
    }

    /// The absolute URL to which the last answer redirects.
    private var redirectTarget: String? {
        var text: UnsafePointer<CChar>?
        firstlight_curl_get_string(handle, CURLINFO_REDIRECT_URL, &text)
        return text.map { String(cString: $0) }
    }

    private func set(_ option: CURLoption, _ value: Int) { firstlight_curl_set_long(handle, option, value) }
    private func set(_ option: CURLoption, _ value: String) { firstlight_curl_set_string(handle, option, value) }
    private func set(_ option: CURLoption, _ value: UnsafeMutableRawPointer?) {
        firstlight_curl_set_pointer(handle, option, value)
    }
}

/// One request and its answer, as libcurl's callbacks see them.
private final class Exchange {
    /// How many bytes of an error page are read to keep the connection usable.
    private static let patience = 64 << 10

    private let receiver: any TransferReceiver
    private let request: TransferRequest
    private let handle: UnsafeMutableRawPointer
    private let isAuthenticated: Bool
    /// When the connection was established and the request was sent.
    var sentAt: Double?
    private var lastHeard: Double
    private(set) var head = ResponseHead(status: 0)
    private var hasHead = false
    private var ignored = 0
    /// Whether an answer without success was cut off, because nothing in its body matters.
    private(set) var isDone = false
    private(set) var failure: (any Error)?
    /// The validity of the certificate that was refused because of its time.
    private(set) var validity: CertificateValidity?

    init(
        _ request: TransferRequest, isAuthenticated: Bool, receiver: any TransferReceiver,
        handle: UnsafeMutableRawPointer
    ) {
        self.request = request
        self.isAuthenticated = isAuthenticated
        self.receiver = receiver
        self.handle = handle
        lastHeard = monotonicSeconds()
    }

    static func from(_ context: UnsafeMutableRawPointer?) -> Exchange? {
        context.map { Unmanaged<Exchange>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Takes one header line with its line end; returns its length, or 0 to end the transfer.
    func header(_ bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
        lastHeard = monotonicSeconds()
        let raw = UnsafeRawBufferPointer(start: bytes, count: count)
        let line = String(decoding: raw.prefix { $0 != 0x0d && $0 != 0x0a }, as: UTF8.self)
        if var started = ResponseHead(statusLine: line) {
            started.isAuthenticated = isAuthenticated
            head = started
        } else if !line.isEmpty {
            head.add(line: line)
        } else if head.status >= 200 {
            return attempt { try announceHead() } ? count : 0
        }
        return count
    }

    /// Takes a part of the body; returns its length, or 0 to end the transfer.
    func body(_ bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
        defer { lastHeard = monotonicSeconds() }
        guard attempt({ try announceHead() }) else { return 0 }
        guard head.isSuccess else {
            ignored += count
            isDone = ignored > Self.patience
            return isDone ? 0 : count
        }
        return attempt { try receiver.receive(UnsafeRawBufferPointer(start: bytes, count: count)) } ? count : 0
    }

    /// Checks the time limits; returns whether to continue.
    func tick() -> Bool {
        let now = monotonicSeconds()
        if let sentAt, !hasHead, let limit = request.answerTimeout, now - sentAt > limit {
            failure = failure ?? TransferFault.noAnswer(seconds: wholeSeconds(limit))
        } else if now - lastHeard > request.stallTimeout {
            failure =
                failure
                ?? (sentAt == nil && !hasHead
                    ? TransferFault.connectTimeout : .stalled(seconds: wholeSeconds(request.stallTimeout)))
        }
        return attempt { try receiver.tick() }
    }

    func finish() throws { try announceHead() }

    private func announceHead() throws {
        if hasHead { return }
        if head.status == 0 {
            // TFTP has no head, but its server may have sent the length.
            head = ResponseHead(status: 200)
            var length: curl_off_t = -1
            firstlight_curl_get_offset(handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length)
            if length > 0 { head.fields["content-length"] = "\(length)" }
        }
        hasHead = true
        if head.isSuccess { try receiver.begin(head) }
    }

    /// Records the validity of a certificate that is refused because of its time: libcurl reports only the refusal.
    static func watchCertificates(of context: OpaquePointer?, for exchange: UnsafeMutableRawPointer?) {
        // The slot that OpenSSL leaves to applications.
        SSL_CTX_set_ex_data(context, 0, exchange)
        SSL_CTX_set_verify(context, SSL_CTX_get_verify_mode(context)) { isRight, store in
            if isRight == 0 { Exchange.recordValidity(refusedBy: store) }
            return isRight
        }
    }

    private static func recordValidity(refusedBy store: OpaquePointer?) {
        let reasons = [X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED]
        guard reasons.contains(X509_STORE_CTX_get_error(store)),
            let connection = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
            let exchange = from(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(OpaquePointer(connection)), 0)),
            let certificate = X509_STORE_CTX_get_current_cert(store),
            let start = seconds(X509_get0_notBefore(certificate)), let end = seconds(X509_get0_notAfter(certificate))
        else { return }
        exchange.validity = CertificateValidity(start: start, end: end)
    }

    private static func seconds(_ text: UnsafePointer<ASN1_TIME>?) -> Int? {
        var parts = tm()
        return ASN1_TIME_to_tm(text, &parts) == 1 ? timegm(&parts) : nil
    }

    private func attempt(_ act: () throws -> Void) -> Bool {
        if failure != nil { return false }
        do { try act() } catch { failure = error }
        return failure == nil
    }
}
