package tests

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The custom resources that the chart makes, as far as it makes use of them: a field that is not
// here is an error. Written from the published definitions of their operators.

type head struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
}

// certificate is `Certificate` of `cert-manager.io/v1`.
type certificate struct {
	head `json:",inline"`
	Spec struct {
		IsCA           bool   `json:"isCA,omitempty"`
		CommonName     string `json:"commonName,omitempty"`
		SecretName     string `json:"secretName"`
		SecretTemplate *struct {
			Annotations map[string]string `json:"annotations,omitempty"`
			Labels      map[string]string `json:"labels,omitempty"`
		} `json:"secretTemplate,omitempty"`
		Duration    *metav1.Duration `json:"duration,omitempty"`
		RenewBefore *metav1.Duration `json:"renewBefore,omitempty"`
		PrivateKey  struct {
			Algorithm string `json:"algorithm"`
			Size      int    `json:"size"`
			Encoding  string `json:"encoding"`
		} `json:"privateKey"`
		Usages      []string `json:"usages,omitempty"`
		DNSNames    []string `json:"dnsNames,omitempty"`
		IPAddresses []string `json:"ipAddresses,omitempty"`
		IssuerRef   struct {
			Name  string `json:"name"`
			Kind  string `json:"kind,omitempty"`
			Group string `json:"group,omitempty"`
		} `json:"issuerRef"`
	} `json:"spec"`
}

// issuer is `Issuer` of `cert-manager.io/v1`.
type issuer struct {
	head `json:",inline"`
	Spec struct {
		SelfSigned *struct{} `json:"selfSigned,omitempty"`
		CA         *struct {
			SecretName string `json:"secretName"`
		} `json:"ca,omitempty"`
	} `json:"spec"`
}

// teleportRole is `TeleportRoleV8` of `resources.teleport.dev/v1`.
type teleportRole struct {
	head `json:",inline"`
	Spec struct {
		Allow struct {
			Rules []struct {
				Resources []string `json:"resources"`
				Verbs     []string `json:"verbs"`
			} `json:"rules"`
		} `json:"allow"`
	} `json:"spec"`
}

// teleportBot is `TeleportBotV1` of `resources.teleport.dev/v1`.
type teleportBot struct {
	head `json:",inline"`
	Spec struct {
		Roles []string `json:"roles"`
	} `json:"spec"`
}

// teleportToken is `TeleportProvisionToken` of `resources.teleport.dev/v2`, with the two ways to
// join that are tested.
type teleportToken struct {
	head `json:",inline"`
	Spec struct {
		Roles      []string `json:"roles"`
		BotName    string   `json:"bot_name"`
		JoinMethod string   `json:"join_method"`
		Kubernetes *struct {
			Type  string `json:"type"`
			Allow []struct {
				ServiceAccount string `json:"service_account"`
			} `json:"allow"`
			StaticJWKS *struct {
				JWKS string `json:"jwks"`
			} `json:"static_jwks,omitempty"`
		} `json:"kubernetes,omitempty"`
		IAM   *struct{}           `json:"iam,omitempty"`
		Allow []map[string]string `json:"allow,omitempty"`
	} `json:"spec"`
}

// serviceMonitor is `ServiceMonitor` of `monitoring.coreos.com/v1`.
type serviceMonitor struct {
	head `json:",inline"`
	Spec struct {
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port          string `json:"port"`
			Path          string `json:"path"`
			Interval      string `json:"interval,omitempty"`
			ScrapeTimeout string `json:"scrapeTimeout,omitempty"`
		} `json:"endpoints"`
	} `json:"spec"`
}
