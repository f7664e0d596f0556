import Encoding
import Glibc
import LoopbackServer
import Testing

@testable import Fetching

@Suite final class Posting {
    private let json = #"{"outcome": "done"}"#
    private var pauses: [Double] = []

    private func post(to text: String, within seconds: Double = 10) throws -> ResourceFailure? {
        let url = try SourceURL(parsing: text)
        do throws(ResourceFailure) {
            try ResourceFetcher(pause: { self.pauses.append($0) }).post(json: json, to: url, within: seconds)
            return nil
        } catch {
            return error
        }
    }

    @Test func aServerErrorIsFollowedByAnotherAttempt() throws {
        let server = try LoopbackServer([:], scripts: ["/boots=status:503;status:500"])
        #expect(try post(to: server.url("/boots")) == nil)
        let requests = server.requests
        #expect(requests.map(\.method) == ["POST", "POST", "POST"])
        #expect(requests.map(\.status) == [503, 500, 204])
        let last = try #require(requests.last)
        #expect(last.headers["body"] == json && last.headers["content-type"] == "application/json")
        #expect(last.headers["expect"] == nil && pauses == [0.2, 0.4])
    }

    @Test func aRedirectTakesTheReportAlong() throws {
        let server = try LoopbackServer([:], scripts: ["/old=redirect:/new"])
        #expect(try post(to: server.url("/old")) == nil)
        #expect(server.requests.map(\.path) == ["/old", "/new"])
        #expect(server.requests.last?.headers["body"] == json)
    }

    @Test func aRefusalIsFinal() throws {
        let server = try LoopbackServer([:], scripts: ["/boots=status:403"])
        let failure = try #require(try post(to: server.url("/boots?token=secret")))
        #expect(failure.reason == .transfer(.status(403), attempts: 1))
        #expect(!"\(failure)".contains("secret"))
        #expect(server.requests.count == 1)
    }

    @Test("a silent server, and one that is not there, are given up when the time is over")
    func boundedTime() throws {
        let server = try LoopbackServer([:], scripts: ["/boots=silent"])
        for url in [server.url("/boots"), "http://127.0.0.1:1/boots"] {
            let failure = try #require(try post(to: url, within: 0.5))
            guard case .outOfTime(seconds: 1, _) = failure.reason else {
                Issue.record("\(failure)")
                continue
            }
        }
    }
}
