"""STS and signatures, by boto3."""

import base64
import datetime
import http.client
import json
import time
import unittest
from unittest import mock
from urllib.parse import quote, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sandbox_process import SandboxTest


class Sts(SandboxTest):
    def test_caller_identity(self):
        me = self.sts.get_caller_identity()
        self.assertEqual((me["Account"], me["Arn"]), ("123456789012", "arn:aws:iam::123456789012:user/sandbox"))
        self.assertEqual(self.client("sts", key="test2").get_caller_identity()["Account"], "210987654321")
        china = self.client("sts", region="cn-north-1").get_caller_identity()
        self.assertEqual(china["Account"], "123456789012")

    def assume(self, role, **options):
        return self.sts.assume_role(RoleArn=role, RoleSessionName="session", **options)["Credentials"]

    def test_a_role_of_another_account(self):
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole",
                    "Condition": {"StringEquals": {"sts:ExternalId": "secret"}}}]}
        theirs = self.client("iam", key="test2")
        role = theirs.create_role(RoleName="target", AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
        self.assertFails("AccessDenied", "is not authorized to perform: sts:AssumeRole on resource", self.assume, role, status=403)
        keys = self.assume(role, ExternalId="secret", DurationSeconds=900)
        options = {"key": keys["AccessKeyId"], "secret": keys["SecretAccessKey"]}
        me = self.client("sts", token=keys["SessionToken"], **options).get_caller_identity()
        self.assertEqual(me["Arn"], "arn:aws:sts::210987654321:assumed-role/target/session")
        self.sandbox.control("POST", "seed", {"clusters": [{"name": "theirs", "account_id": "210987654321"}]})
        self.assertEqual(self.client("eks", token=keys["SessionToken"], **options).list_clusters()["clusters"], ["theirs"])
        self.assertFails("UnrecognizedClientException", "security token", self.client("eks", token="other", **options).list_clusters, status=403)
        self.assertFails("InvalidClientTokenId", "security token", self.client("iam", **options).list_roles, status=403)
        self.assertFails("AccessDenied", "", self.assume, "arn:aws:iam::210987654321:role/nothing", status=403)
        self.assertFails("ValidationError", "durationSeconds", self.assume, role, DurationSeconds=60, status=400)

    def test_web_identity(self):
        issuer = "oidc.eks.us-east-1.amazonaws.com/id/ABC"
        self.iam.create_open_id_connect_provider(Url=f"https://{issuer}", ClientIDList=["sts.amazonaws.com"], ThumbprintList=["a" * 40])
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{issuer}"},
                    "Action": "sts:AssumeRoleWithWebIdentity", "Condition": {"StringEquals": {f"{issuer}:sub": "system:serviceaccount:payments:api"}}}]}
        role = self.role("irsa", AssumeRolePolicyDocument=json.dumps(document))

        def token(subject, age=0):
            claims = {"iss": f"https://{issuer}", "sub": subject, "aud": ["sts.amazonaws.com"], "exp": int(time.time()) + 600 - age}
            part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
            return f"{part({'alg': 'RS256'})}.{part(claims)}.c2ln"

        def assume(text):
            return self.sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="session", WebIdentityToken=text)

        answer = assume(token("system:serviceaccount:payments:api"))
        self.assertEqual(answer["AssumedRoleUser"]["Arn"], "arn:aws:sts::123456789012:assumed-role/irsa/session")
        self.assertFails("AccessDenied", "Not authorized", assume, token("system:serviceaccount:payments:web"), status=403)
        self.assertFails("ExpiredTokenException", "", assume, token("system:serviceaccount:payments:api", 1200), status=400)
        self.assertFails("InvalidIdentityToken", "", assume, "garbage", status=400)


class Signatures(SandboxTest):
    def test_wrong_and_unknown_keys(self):
        for service, mismatch, unknown in [
            ("eks", "InvalidSignatureException", "UnrecognizedClientException"),
            ("iam", "SignatureDoesNotMatch", "InvalidClientTokenId"),
            ("sts", "SignatureDoesNotMatch", "InvalidClientTokenId"),
        ]:
            operation = {"eks": "list_clusters", "iam": "list_roles", "sts": "get_caller_identity"}[service]
            with self.subTest(service):
                wrong = getattr(self.client(service, secret="wrong"), operation)
                self.assertFails(mismatch, "The request signature we calculated does not match", wrong, status=403)
                self.assertFails(unknown, "The security token included in the request is invalid.", getattr(self.client(service, key="nobody"), operation), status=403)

    def test_a_clock_that_is_off(self):
        real = datetime.datetime.now(datetime.timezone.utc)
        for minutes, message in [(-10, "Signature expired"), (10, "Signature not yet current")]:
            moved = (real + datetime.timedelta(minutes=minutes)).replace(tzinfo=None)
            with self.subTest(minutes), mock.patch("botocore.auth.get_current_datetime", return_value=moved, create=True):
                self.assertFails("SignatureDoesNotMatch", message, self.sts.get_caller_identity, status=403)

    def send(self, method, path, headers=None, body=None):
        connection = http.client.HTTPConnection(urlsplit(self.sandbox.aws).netloc)
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        result = answer.status, answer.getheader("x-amzn-errortype"), answer.read().decode()
        connection.close()
        return result

    def signed(self, method="GET", path="/clusters", body=b"", service="eks", headers=None):
        request = AWSRequest(method=method, url=self.sandbox.aws + path, data=body, headers=headers or {})
        SigV4Auth(Credentials("test", "test"), service, "us-east-1").add_auth(request)
        return dict(request.headers.items())

    def test_tampering(self):
        headers = self.signed()
        self.assertEqual(self.send("GET", "/clusters", headers)[0], 200)
        self.assertEqual(self.send("GET", "/clusters?maxResults=1", headers)[:2], (403, "InvalidSignatureException"))
        self.assertEqual(self.send("GET", "/clusters")[:2], (403, "MissingAuthenticationTokenException"))
        cut = dict(headers, Authorization=headers["Authorization"].split(", Signature")[0])
        self.assertEqual(self.send("GET", "/clusters", cut)[:2], (403, "IncompleteSignatureException"))
        body = b'{"tags":{"a":"b"}}'
        arn = quote("arn:aws:eks:us-east-1:123456789012:cluster/demo", safe="")
        headers = self.signed("POST", f"/tags/{arn}", body)
        self.assertEqual(self.send("POST", f"/tags/{arn}", headers, body.replace(b"b", b"c"))[:2], (403, "InvalidSignatureException"))
        self.assertEqual(self.send("POST", f"/tags/{arn}", headers, body)[0], 200)
        status, _, text = self.send("GET", "/?Action=ListRoles&Version=2010-05-08")
        self.assertEqual(status, 403)
        self.assertIn("<Code>MissingAuthenticationToken</Code>", text)

    def test_presigned(self):
        url = self.sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
        path = url.split(self.sandbox.aws, 1)[1]
        status, _, text = self.send("GET", path)
        self.assertEqual(status, 200, text)
        self.assertEqual(self.send("GET", path.replace("GetCallerIdentity", "AssumeRole"))[0], 403)


if __name__ == "__main__":
    unittest.main()
