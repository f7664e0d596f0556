// A root image from the network: streamed, verified while it arrives, resumed, from several mirrors in turn.

import Encoding
import Fetching
import LinuxSystem
import LiveImage
import Reporting

/// One download with all its attempts.
final class RootImageDownload: TransferReceiver {
    /// The answer neither continues what is present nor is it the file from its start.
    private struct Unusable: Error {}

    private let request: RootImageRequest
    private let urls: [SourceURL]
    private let machine: RootImageMachine
    private let tell: (RootImageEvent) -> Void
    private let unpacker: RootImageUnpacker
    private let pipe: BlockPipe
    private var mirrors: RootImageMirrors
    private var meter = RateMeter()
    private var lastTold = 0.0

    /// The mirror that the present bytes come from, and its name for their version.
    private var origin: (mirror: Int, validator: Validator?)?
    private var total: UInt64?
    private var point = ResumePoint(offset: 0, validator: nil, total: nil)
    private var bytesFetched: UInt64 = 0
    private var bytesBefore: UInt64 = 0
    private var isAuthenticated = true
    /// The server's clock, and when that was received by the monotonic clock.
    private var date: (seconds: Int, toldAt: Double)?

    init(
        _ request: RootImageRequest, urls: [SourceURL], on machine: RootImageMachine,
        telling tell: @escaping (RootImageEvent) -> Void
    ) throws(RootImageError) {
        guard let first = urls.first else { throw .noURL }
        var request = request
        // The stream's chunks cover the image.
        if request.streamHash != nil { request.imageHash = nil }
        self.request = request
        self.urls = urls
        self.machine = machine
        self.tell = tell
        unpacker = RootImageUnpacker(
            request, source: "\(first)", keeps: true, on: machine, telling: tell)
        pipe = BlockPipe(chunkSize: request.streamHash?.chunkSize ?? StreamHash.usualChunkSize)
        mirrors = RootImageMirrors(count: urls.count, areInterchangeable: request.streamHash != nil)
    }

    /// Returns the image, or throws and leaves nothing in RAM.
    func run() throws -> RootImage {
        do { return try attemptUntilDone() } catch {
            unpacker.restart()
            throw error
        }
    }

    private func attemptUntilDone() throws -> RootImage {
        try request.waits.wait(for: Wait(for: unpacker.source, reason: "no answer yet")) { wait in
            self.wait = wait
            return try attempts()
        }
    }

    private func attempts() throws -> RootImage {
        let transfer: Transfer
        do { transfer = try Transfer() } catch { throw RootImageError.transfer(source: unpacker.source, error) }
        while true {
            let source = "\(urls[mirrors.current])"
            unpacker.source = source
            wait.change { $0.subject = source }
            bytesBefore = bytesFetched
            do {
                try pipe.run(consume: unpacker.consume) {
                    let head = try transfer.perform(nextRequest(), to: self)
                    if !head.isSuccess { throw point.offset > 0 && head.status == 416 ? Unusable() : head.fault }
                    pipe.complete()
                }
                return try result()
            } catch let error as RootImageError {
                guard error.isOfItsSource else { throw error }
                try refuse(error)
            } catch let fault as TransferFault {
                if fault.isTransient {
                    try waitAfter(fault)
                } else {
                    try refuse(.transfer(source: unpacker.source, fault))
                }
            } catch is Unusable {
                startOver("the server's file has changed")
                try waitAfter(.connectionLost(nil), reason: "the rest that the server sends does not fit")
            }
        }
    }

    private func result() throws(RootImageError) -> RootImage {
        guard let found = unpacker.found, let file = found.file else {
            throw .unusable(source: unpacker.source, .noImage)
        }
        let verifiedBy = request.verifiedBy(otherwise: isAuthenticated ? .tls : .nothing)
        if request.hasHash { setClock() }
        return RootImage(
            file: file, offset: 0, size: found.length, format: found.format.filesystem, version: unpacker.version,
            bytesFetched: bytesFetched, verifiedBy: verifiedBy, source: unpacker.source,
            droppedInstallImages: unpacker.droppedInstallImages)
    }

    /// Sets a doubtful clock by the date of a server whose bytes matched the hash.
    private func setClock() {
        guard let date else { return }
        let now = date.seconds + Int(monotonicSeconds() - date.toldAt)
        if let change = machine.clock?.setForward(to: now, of: unpacker.source) { tell(.clockSet(change)) }
    }

    private func nextRequest() -> TransferRequest {
        var next = TransferRequest(url: urls[mirrors.current])
        next.headers =
            [("User-Agent", "Firstlight/\(firstlightVersion)"), ("Accept-Encoding", "identity")]
            + point.headers.map { ($0.name, $0.value) }
        next.proxies = ProxyRules(request.proxy)
        // The image's own hash says nothing of what comes with it in the archive.
        let isWholeHashed = request.streamHash != nil || request.sha256 != nil
        next.trust =
            isWholeHashed ? .anybody(withCredentials: request.authorities) : .authorities(request.authorities)
        next.stallTimeout = request.stallTimeout
        return next
    }

    // MARK: The answer

    func begin(_ head: ResponseHead) throws {
        guard head.status == 200 || head.status == 206 else { throw head.fault }
        switch point.judge(head) {
        case .continues: break
        case .startsOver: startOver("the server sends the whole file again")
        case .unusable: throw Unusable()
        }
        isAuthenticated = isAuthenticated && head.isAuthenticated
        total = head.total ?? total
        date = head.date.map { ($0, monotonicSeconds()) }
        origin = (mirrors.current, head.validator)
        if let total { try unpacker.check(total: total) }
        tell(.started(source: unpacker.source, total: total))
    }

    func receive(_ bytes: UnsafeRawBufferPointer) throws {
        bytesFetched += UInt64(bytes.count)
        try pipe.push(bytes)
        received += UInt64(bytes.count)
    }

    func tick() throws {
        try checkCancelled()
        let now = monotonicSeconds()
        guard now - lastTold >= 0.1, received > 0 else { return }
        lastTold = now
        if received != lastReceived {
            lastReceived = received
            wait.progressed()
        }
        tell(.progress(TransferProgress(bytes: received, total: total, rate: meter.rate(at: now, bytes: received))))
    }

    /// Bytes of the stream that are present, verified or not.
    private var received: UInt64 = 0
    private var lastReceived: UInt64 = 0
    private var wait = OpenWait.untold

    // MARK: After a failed attempt

    /// Excludes the current mirror; the next one continues or starts over.
    private func refuse(_ error: RootImageError) throws(RootImageError) {
        guard mirrors.refuse(error) else { throw mirrors.refusal ?? error }
        tell(.mirrorRefused(error))
        prepareNextAttempt()
    }

    private func checkCancelled() throws(RootImageError) { if request.waits.isCancelled() { throw .cancelled } }

    private func waitAfter(_ fault: TransferFault, reason: String? = nil) throws(RootImageError) {
        let reason = reason ?? "\(fault)"
        let last = mirrors.current
        let next = mirrors.failed(
            reason: reason, progressed: bytesFetched > bytesBefore, holdsBytes: received > 0)
        tell(.lost(source: unpacker.source, reason: reason, bytes: received, isNewReason: next.isNewReason))
        wait.failed(mirrors.attempt - 1, because: reason, advice: fault.advice)
        machine.pause(
            RetryPolicy.patient.delay(
                afterFailures: next.failures, asked: next.mirror == last ? fault.retryAfter : nil,
                chance: machine.chance()))
        try checkCancelled()
        prepareNextAttempt()
        tell(
            .retrying(
                RootImageRetry(
                    source: "\(urls[next.mirror])", from: point.offset, mirror: next.mirror + 1,
                    mirrors: mirrors.count, attempt: mirrors.attempt, isNewReason: next.isNewReason)))
    }

    /// Decides where the stream continues.
    ///
    /// That is at the very next byte if the server has a name for the version of the file; or after the last verified
    /// chunk, from any server; or else at the start.
    private func prepareNextAttempt() {
        guard received > 0 else { return }
        let isSameMirror = origin?.mirror == mirrors.current
        if urls[mirrors.current].scheme == "tftp" {
            startOver("TFTP sends whole files")
        } else if isSameMirror, let validator = origin?.validator {
            point = ResumePoint(offset: received, validator: validator, total: total)
        } else if request.streamHash != nil, unpacker.position > 0 {
            pipe.discardPending()
            received = unpacker.position
            point = ResumePoint(offset: received, validator: nil, total: nil)
        } else {
            startOver(isSameMirror ? "the server names no version of its file" : "another mirror's file may differ")
        }
    }

    private func startOver(_ reason: String) {
        if received > 0 { tell(.startedOver(reason: reason)) }
        pipe.discardPending()
        unpacker.restart()
        received = 0
        total = nil
        // Nothing of what came before is used.
        isAuthenticated = true
        point = ResumePoint(offset: 0, validator: nil, total: nil)
    }
}
