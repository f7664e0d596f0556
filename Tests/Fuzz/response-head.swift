// Any bytes as the lines of a response's head, asked for from an offset.
// with: Sources/Fetching/ResponseHead.swift

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let text = String(decoding: UnsafeBufferPointer(start: data, count: count), as: UTF8.self)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard var head = ResponseHead(statusLine: lines.first ?? "") else { return 0 }
    precondition((100...999).contains(head.status))
    for line in lines.dropFirst() { head.add(line: line) }
    let most = UInt64(Int64.max)
    precondition(head.total ?? 0 <= most, "a file longer than any")
    precondition(head.retryAfter ?? 0 >= 0)
    if let range = head.contentRange {
        precondition(range.first <= range.last && range.last <= most && range.last < range.total ?? .max)
    }
    for offset in [0, 1, head.contentRange?.first ?? 7, most] {
        let point = ResumePoint(offset: offset, validator: head.validator, total: head.total)
        let answer = point.judge(head)
        if answer == .continues, head.status == 206 {
            precondition(head.contentRange?.first == offset, "the body does not begin where it is to go on")
        }
        _ = point.headers
    }
    return 0
}
