// Why a resource of a config cannot be fetched, and what the operator can do.

import Encoding
import IgnitionConfig
import Reporting
import SystemPackage

/// Why a resource cannot be fetched.
public struct ResourceFailure: Error, Sendable, CustomStringConvertible, Advising {
    /// What went wrong.
    public enum Reason: Equatable, Sendable {
        /// The server answered with HTTP status 404.
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
        case malformedObject
        case compressedObject
        case anonymousAccessPoint
        case certificate(CertificateFault)
        /// A signature was refused, and the clocks differ.
        case clockSkew(ClockSkew)
        /// It is on another machine, and the network may not be used.
        case offline
        /// Not a URL at all.
        case malformedURL(SourceURL.Fault)
        /// Another resource failed, so this one is no longer needed.
        case cancelled
        /// A failure that no code here is expected to throw.
        case unexpected(String)
    }

    /// The URL of the resource.
    public var source: RedactedURL
    /// What went wrong.
    public var reason: Reason

    /// Creates a failure.
    public init(source: RedactedURL, reason: Reason) {
        self.source = source
        self.reason = reason
    }

    /// What is wrong, for a message.
    public var description: String {
        switch reason {
        case .notFound: "\(source): HTTP status 404 (not found)"
        case .transfer(let fault, let attempts):
            "\(source): \(fault)" + (attempts > 1 ? ", after \(attempts) attempts" : "")
        case .outOfTime(let seconds, let last):
            "\(source): not fetched within \(seconds) s" + (last.map { "; the last fault: \($0)" } ?? "")
        case .dataURL(let fault): "\(fault)"
        case .unsupportedScheme(let scheme): "\(source): the scheme \(scheme): is not supported"
        case .headerWithoutValue(let name): "\(source): the HTTP header \(name) has no value"
        case .malformedHash: "\(source): the wanted hash is malformed"
        case .wrongHash(let wanted, let found): "\(source): its hash is \(found), not \(wanted)"
        case .compression(let fault): "\(source): \(fault)"
        case .cannotWrite(let reason): "\(source): cannot be stored: \(reason)"
        case .malformedObject: "\(source): names no object in a bucket"
        case .compressedObject: "\(source): compression does not go together with s3: and arn:"
        case .anonymousAccessPoint: "\(source): an S3 access point needs credentials, and this machine has none"
        case .certificate(let fault): "\(source): not usable as a certificate authority: \(fault)"
        case .clockSkew(let skew): "\(source): HTTP status 403 (forbidden): \(skew)"
        case .malformedURL(let fault): "\(source): \(fault)"
        case .offline: "\(source): needs the network"
        case .cancelled: "\(source): no longer wanted"
        case .unexpected(let text): "\(source): \(text)"
        }
    }

    /// What the operator can do.
    public var advice: [String] { advice(limit: "ignition.timeouts.httpTotal sets the limit.") }

    /// The same, with the sentence about what sets the limit of time.
    public func advice(limit: String) -> [String] {
        switch reason {
        case .notFound: ["Check the URL: the server has nothing there."]
        case .transfer(let fault, _): fault.advice
        case .outOfTime(_, let last): (last?.advice ?? []) + [limit]
        case .wrongHash: ["Either the file was changed or the config is out of date: compare both with their source."]
        case .cannotWrite(.noSpace): ["Make room on the target's filesystem."]
        case .malformedURL: ["Check the URL."]
        case .malformedObject: ["Write s3://BUCKET/KEY, gs://BUCKET/OBJECT or arn:aws:s3:::BUCKET/KEY."]
        case .compressedObject: ["Leave \"compression\" out, or serve the file over https."]
        case .anonymousAccessPoint: ["Give the instance a role that may read it, or use s3://BUCKET/KEY."]
        case .certificate: ["The file must hold PEM certificates, and nothing after the last line of the last one."]
        case .clockSkew: ["Set the clock of this machine, in its firmware's setup."]
        case .compression(.notGzip): ["Leave \"compression\" out, or serve the file compressed."]
        default: []
        }
    }
}

extension ResourceFailure.Reason: Error {}
