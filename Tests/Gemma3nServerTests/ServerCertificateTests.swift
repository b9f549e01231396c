import Foundation
import Gemma3nHost
import Testing

import Gemma3nServer

@Suite struct ServerCertificateTests {
    private func message(_ certificate: String, _ key: String) -> String? {
        do throws(ServerCertificateError) {
            _ = try ServerCertificate(certificate: certificate, key: key)
            return nil
        } catch {
            return error.message
        }
    }

    @Test func saysWhatIsWrong() {
        let (good, key) = (Certificates.path("certificate"), Certificates.path("key"))
        #expect(message(good, key) == nil)
        #expect(message("/nowhere.pem", key) == "cannot open '/nowhere.pem': no such file or directory.")
        #expect(message(good, "/nowhere.pem") == "cannot open '/nowhere.pem': no such file or directory.")
        #expect(message(key, key) == "\(key) holds no certificate in PEM; expected -----BEGIN CERTIFICATE-----.")
        #expect(message(good, good) == "\(good) holds no private key in PEM; expected -----BEGIN PRIVATE KEY-----.")
        #expect(message(good, Certificates.path("renewed-key")) == "\(Certificates.path("renewed-key")) is not the key of the certificate in \(good).")
        #expect(message(good, Certificates.path("encrypted-key"))?.contains("the key has a passphrase, and a server has nobody to ask.") == true)
    }

    @Test func warnsOfItsTime() throws {
        func warning(_ name: String, _ now: Int) throws -> String? {
            try ServerCertificate(certificate: Certificates.path(name), key: Certificates.path("key")).warning(at: now)
        }
        // 2026-01-01.
        let now = 1_767_225_600
        #expect(try warning("certificate", now) == nil)
        #expect(try warning("expired", now)?.hasSuffix("the certificate was valid until 2021-01-01; clients will refuse it.") == true)
        #expect(try warning("future", now)?.hasSuffix("the certificate is valid from 2099-01-01 on; clients will refuse it.") == true)
    }

    @Test func takesUpWhatIsWhole() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gemma3n-server-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (certificate, key) = (folder.appendingPathComponent("certificate.pem").path, folder.appendingPathComponent("key.pem").path)
        func put(_ name: String, _ path: String) throws { try AtomicFile.write(try readFile(Certificates.path(name)), to: path) }
        try put("certificate", certificate)
        try put("key", key)
        let shown = try ServerCertificate(certificate: certificate, key: key)
        #expect(shown.refresh() == .none)
        // Half of the new pair is none.
        try put("renewed", certificate)
        #expect(shown.refresh() == .refused("\(key) is not the key of the certificate in \(certificate)."))
        #expect(shown.refresh() == .none)
        try put("renewed-key", key)
        #expect(shown.refresh() == .renewed)
        #expect(shown.refresh() == .none)
    }
}
