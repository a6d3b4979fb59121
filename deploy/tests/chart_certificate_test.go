package tests

import "testing"

const withCertificates = `
certManager: {enabled: true, dnsNames: [fluentd.example.com]}
fluentd: {certificate: {secretName: ""}}
`

func TestChartCertificates(t *testing.T) {
	all := render(t, least, withCertificates, "certManager: {ipAddresses: [10.0.0.1], renewBefore: 720h}")
	recorded(t, "deploy/tests/testdata/rendered/certificate.yaml", all.of("certificate.yaml"))
	equal(t, "documents", all.kinds("certificate.yaml"),
		[]string{"Certificate " + fullName + "-client", "Certificate " + fullName + "-server"})

	server := get[*certificate](all, fullName+"-server").Spec
	equal(t, "secret", server.SecretName, fullName+"-server-tls")
	equal(t, "usages", server.Usages, []string{"server auth"})
	equal(t, "names", server.DNSNames, []string{"fluentd.example.com"})
	equal(t, "addresses", server.IPAddresses, []string{"10.0.0.1"})
	client := get[*certificate](all, fullName+"-client").Spec
	equal(t, "secret", client.SecretName, fullName+"-client-tls")
	equal(t, "usages", client.Usages, []string{"client auth"})
	equal(t, "name", client.CommonName, fullName)
	equal(t, "names", len(client.DNSNames)+len(client.IPAddresses), 0)
	for _, one := range []string{"-server", "-client"} {
		spec := get[*certificate](all, fullName+one).Spec
		equal(t, "duration", spec.Duration.Hours(), 87600.0)
		equal(t, "renewal", spec.RenewBefore.Hours(), 720.0)
		equal(t, "key", spec.PrivateKey.Algorithm+" "+itoa(spec.PrivateKey.Size)+" "+spec.PrivateKey.Encoding, "ECDSA 256 PKCS8")
		equal(t, "issuer", spec.IssuerRef.Kind+" "+spec.IssuerRef.Name, "Issuer "+fullName+"-ca-issuer")
		equal(t, "template", spec.SecretTemplate == nil, true)
	}
	equal(t, "renewal", get[*certificate](render(t, least, withCertificates), fullName+"-client").Spec.RenewBefore == nil, true)
}

func TestChartHandlerTakesTheCertificateOfCertManager(t *testing.T) {
	all := render(t, least, withCertificates)
	secret := all.volume("certificate").Secret
	equal(t, "secret", secret.SecretName, get[*certificate](all, fullName+"-client").Spec.SecretName)
	equal(t, "keys", secret.Items[0].Key+" "+secret.Items[1].Key+" "+secret.Items[2].Key, "ca.crt tls.crt tls.key")
	// One that is named is left over from before, as in Teleport's chart.
	all = render(t, least, withCertificates, "fluentd: {certificate: {secretName: own}}")
	equal(t, "beside another", all.volume("certificate").Secret.String(), secret.String())
	all = render(t, least, withCertificates, "certManager: {enabled: false}\nfluentd: {certificate: {secretName: own}}")
	equal(t, "own secret", all.volume("certificate").Secret.SecretName, "own")
}

func TestChartNoCertificatesWithoutWish(t *testing.T) {
	all := render(t, least)
	equal(t, "certificates", has[*certificate](all), false)
	equal(t, "issuers", has[*issuer](all), false)
}

func TestChartSecretsOfCertificatesHaveAnnotationsAndLabels(t *testing.T) {
	for _, one := range []string{"-server", "-client"} {
		template := get[*certificate](render(t, least, withCertificates, "annotations: {certSecret: {a: b}}"), fullName+one).Spec.SecretTemplate
		equal(t, "annotations", template.Annotations, map[string]string{"a": "b"})
		equal(t, "labels", len(template.Labels), 0)
		template = get[*certificate](render(t, least, withCertificates, "extraLabels: {certSecret: {c: d}}"), fullName+one).Spec.SecretTemplate
		equal(t, "labels", template.Labels, map[string]string{"c": "d"})
		equal(t, "annotations", len(template.Annotations), 0)
	}
}

func TestChartIssuer(t *testing.T) {
	all := render(t, least, withCertificates)
	recorded(t, "deploy/tests/testdata/rendered/issuer.yaml", all.of("issuer.yaml"))
	equal(t, "documents", all.kinds("issuer.yaml"), []string{
		"Certificate " + fullName + "-selfsigned-ca",
		"Issuer " + fullName + "-ca-issuer",
		"Issuer " + fullName + "-selfsigned-issuer",
	})
	ca := get[*certificate](all, fullName+"-selfsigned-ca").Spec
	equal(t, "CA", ca.IsCA, true)
	equal(t, "secret", ca.SecretName, fullName+"-root-secret")
	equal(t, "issuer", ca.IssuerRef.Name, fullName+"-selfsigned-issuer")
	equal(t, "self-signed", get[*issuer](all, fullName+"-selfsigned-issuer").Spec.SelfSigned != nil, true)
	equal(t, "of the CA", get[*issuer](all, fullName+"-ca-issuer").Spec.CA.SecretName, ca.SecretName)
}

func TestChartIssuerThatIsThere(t *testing.T) {
	all := render(t, least, withCertificates,
		"certManager: {issuer: {create: false, name: ours, kind: ClusterIssuer, group: cert-manager.io}}")
	equal(t, "made", len(all.kinds("issuer.yaml")), 0)
	reference := get[*certificate](all, fullName+"-client").Spec.IssuerRef
	equal(t, "issuer", reference.Group+" "+reference.Kind+" "+reference.Name, "cert-manager.io ClusterIssuer ours")
}
