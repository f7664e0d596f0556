// What can go wrong with one transfer.

import CCurl
import Glibc
import LinuxSystem
import SystemPackage

/// The time during which a certificate is valid, in seconds since 1970.
public struct CertificateValidity: Equatable, Sendable {
    /// The first second.
    public var start: Int
    /// The last second.
    public var end: Int

    /// Creates a validity from its first and last second.
    public init(start: Int, end: Int) {
        self.start = start
        self.end = end
    }
}

/// Why a transfer failed.
public enum TransferFault: Error, Equatable, Sendable, CustomStringConvertible {
    case nameNotFound(host: String)
    case cannotConnect(Errno?)
    case connectTimeout
    /// The request was sent, and no answer began within this many seconds.
    case noAnswer(seconds: Int)
    /// Nothing arrived for this many seconds.
    case stalled(seconds: Int)
    /// All attempts together took longer than this many seconds.
    case outOfTime(seconds: Int)
    case connectionLost(Errno?)
    case handshake(String)
    case certificate(String)
    /// The certificate is not yet or no longer valid by this machine's clock, in seconds since 1970.
    case certificateNotInForce(CertificateValidity, now: Int)
    /// The HTTP status is not a success; the server asks to wait `retryAfter` seconds.
    case status(Int, retryAfter: Int? = nil)
    case proxyRefused(status: Int)
    case tftpRefused(String)
    case badURL
    case unsupportedScheme(String)
    case redirectedTo(scheme: String)
    case redirectedToBadURL
    /// The redirect is from https, where that is not allowed.
    case redirectedToPlainHTTP
    case tooManyRedirects
    /// The server does not follow the protocol.
    case protocolError(String)
    /// libcurl failed for a reason that has no case here, in its words; it may be this machine's.
    case other(String)
    case noMemory

    /// What is wrong, for a message.
    public var description: String {
        switch self {
        case .nameNotFound(let host): "the name \(host) cannot be resolved"
        case .cannotConnect(let reason): "cannot connect" + Self.because(reason)
        case .connectTimeout: "no connection within the time limit"
        case .noAnswer(let seconds): "no answer within \(seconds) s"
        case .stalled(let seconds): "nothing arrived for \(seconds) s"
        case .outOfTime(let seconds): "not done within \(seconds) s"
        case .connectionLost(let reason): "connection lost" + Self.because(reason)
        case .handshake(let reason): "TLS handshake failed (\(reason))"
        case .certificate(let reason): "the server's certificate is not trusted (\(reason))"
        case .certificateNotInForce(let validity, let now):
            (now < validity.start
                ? "the server's certificate is valid only from \(utcText(validity.start))"
                : "the server's certificate was valid until \(utcText(validity.end))")
                + ", and this machine's clock says \(utcText(now))"
        case .status(let status, _): "HTTP status \(status)" + (Self.reasons[status].map { " (\($0))" } ?? "")
        case .proxyRefused(let status): "the proxy refuses (HTTP status \(status))"
        case .tftpRefused(let reason): "the TFTP server refuses (\(reason))"
        case .badURL: "the URL is malformed"
        case .unsupportedScheme(let scheme): "\(scheme): is not supported; http:, https: and tftp: are"
        case .redirectedTo(let scheme): "the server redirects to \(scheme):, which is not followed"
        case .redirectedToBadURL: "the server redirects to what is not a URL"
        case .redirectedToPlainHTTP: "the server redirects from https: to http:, which is not followed here"
        case .tooManyRedirects: "the server redirects in circles"
        case .protocolError(let reason): "the server does not speak the protocol (\(reason))"
        case .other(let reason): "the transfer failed (\(reason))"
        case .noMemory: "there is no memory for the transfer"
        }
    }

    private static func because(_ reason: Errno?) -> String { reason.map { " (\($0))" } ?? "" }

    private static let reasons = [
        400: "bad request", 401: "login needed", 403: "forbidden", 404: "not found", 407: "proxy login needed",
        408: "request timeout", 410: "gone", 416: "range not satisfiable", 429: "too many requests",
        500: "internal server error", 502: "bad gateway", 503: "service unavailable", 504: "gateway timeout",
    ]

    /// Whether setting the clock forward may help.
    var isCertificateOfTheFuture: Bool {
        if case .certificateNotInForce(let validity, let now) = self { now < validity.start } else { false }
    }

    /// Translates libcurl's result.
    ///
    /// - Parameters:
    ///   - code: The result, not `CURLE_OK`.
    ///   - reason: The errno of the failed system call; 0 if there is none.
    ///   - host: The host that was asked.
    ///   - proxyStatus: The proxy's answer to CONNECT; 0 if there was none.
    ///   - said: libcurl's own text, for details of TLS.
    init(_ code: CURLcode, errno reason: Int, host: String, proxyStatus: Int, said: String) {
        let cause = reason == 0 ? nil : Errno(rawValue: CInt(truncatingIfNeeded: reason))
        let detail = said.isEmpty ? String(cString: curl_easy_strerror(code)) : said
        if proxyStatus != 0, !(200..<300 ~= proxyStatus) {
            self = .proxyRefused(status: proxyStatus)
            return
        }
        self =
            switch code {
            case CURLE_COULDNT_RESOLVE_HOST: .nameNotFound(host: host)
            case CURLE_COULDNT_RESOLVE_PROXY: .nameNotFound(host: "of the proxy")
            case CURLE_COULDNT_CONNECT, CURLE_PROXY, CURLE_INTERFACE_FAILED: .cannotConnect(cause)
            case CURLE_OPERATION_TIMEDOUT: .connectTimeout
            case CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE: .connectionLost(cause)
            case CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CIPHER, CURLE_USE_SSL_FAILED: .handshake(detail)
            case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM,
                CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_PINNEDPUBKEYNOTMATCH:
                .certificate(detail)
            case CURLE_URL_MALFORMAT: .badURL
            case CURLE_TFTP_NOTFOUND, CURLE_REMOTE_FILE_NOT_FOUND: .tftpRefused("not found")
            case CURLE_TFTP_PERM: .tftpRefused("access denied")
            case CURLE_TFTP_ILLEGAL, CURLE_TFTP_UNKNOWNID, CURLE_TFTP_NOSUCHUSER, CURLE_REMOTE_FILE_EXISTS,
                CURLE_REMOTE_DISK_FULL:
                .tftpRefused(String(cString: curl_easy_strerror(code)))
            case CURLE_OUT_OF_MEMORY: .noMemory
            case CURLE_WEIRD_SERVER_REPLY, CURLE_UNSUPPORTED_PROTOCOL, CURLE_HTTP2, CURLE_HTTP2_STREAM,
                CURLE_BAD_CONTENT_ENCODING, CURLE_RANGE_ERROR:
                .protocolError(detail)
            default: .other(detail)
            }
    }

    /// The HTTP status, if that is the fault.
    var status: Int? { if case .status(let status, _) = self { status } else { nil } }

    /// Whether the same request is likely to succeed a little later.
    public var isTransient: Bool {
        switch self {
        case .nameNotFound, .cannotConnect, .connectTimeout, .noAnswer, .stalled, .connectionLost, .handshake: true
        case .status(let status, _): status >= 500 || [408, 425, 429].contains(status)
        // The server behind the proxy may come up.
        case .proxyRefused(let status): status >= 500
        case .outOfTime, .certificate, .certificateNotInForce, .tftpRefused, .badURL, .unsupportedScheme,
            .redirectedTo, .redirectedToBadURL, .redirectedToPlainHTTP, .tooManyRedirects, .protocolError, .other,
            .noMemory:
            false
        }
    }

    /// What the operator can do; empty if the fault says it all.
    public var advice: [String] {
        switch self {
        case .nameNotFound: ["Check the URL's host name and the DNS servers of this machine (nameserver=)."]
        case .cannotConnect, .connectTimeout, .noAnswer:
            ["Check that the server runs, and the network of this machine (ip=)."]
        case .certificate:
            ["Check the clock of this machine, and that the initramfs or ignition.security.tls has the server's CA."]
        case .certificateNotInForce(let validity, let now):
            now < validity.start
                ? ["Set the clock of this machine, in its firmware's setup, if its time is wrong."]
                : ["Set the clock of this machine, if its time is wrong; else the server needs a new certificate."]
        case .redirectedToBadURL: ["Correct the Location: that the server answers with."]
        case .redirectedToPlainHTTP:
            ["Let the server redirect to https:, or name the http: URL itself if that is what you want."]
        case .status(404, _), .status(410, _): ["Check the URL: the server has nothing there."]
        case .status(401, _), .status(403, _): ["Check that the server lets this machine read the file."]
        case .proxyRefused(500...):
            ["Check that the server of the URL runs, and that the proxy reaches it."]
        case .proxyRefused:
            ["Check firstlight.proxy= and ignition.proxy, and that the proxy lets this machine through."]
        case .tftpRefused: ["Check the URL's path: it is relative to the TFTP server's folder."]
        case .badURL, .unsupportedScheme: ["Check the URL."]
        case .stalled, .connectionLost: ["Check the network between this machine and the server."]
        case .handshake: ["Check that the port of the URL speaks TLS, and the clock of this machine."]
        case .status(429, _): ["The server gets too many requests; fetching goes on when the server allows it."]
        case .status(500..., _), .status(408, _): ["Look into the server's own log: the fault is on its side."]
        default: []
        }
    }
}

extension ResponseHead {
    /// The time of the answer by the server's clock, in seconds since 1970.
    public var date: Int? {
        guard let text = fields["date"] else { return nil }
        let seconds = curl_getdate(text, nil)
        return seconds > 0 ? seconds : nil
    }

    /// The fault for a status that is not a success.
    public var fault: TransferFault { .status(status, retryAfter: retryAfter) }
}
