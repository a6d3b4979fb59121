package tests

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const operator = `
crd: {create: true, namespace: operator-namespace}
tbot:
  enabled: true
  clusterName: teleport.example.com
  teleportProxyAddress: teleport.example.com:443
  token: bot-token
`

func TestChartOperatorResources(t *testing.T) {
	all := render(t, least, operator, `
crd: {tokenSpecOverride: {join_method: kubernetes, kubernetes: {type: static_jwks, static_jwks: {jwks: "{}"}}}}
`)
	recorded(t, "deploy/tests/testdata/rendered/operator.yaml", all.of("operator_crs.yaml"))
	equal(t, "documents", all.kinds("operator_crs.yaml"), []string{
		"TeleportBotV1 " + fullName, "TeleportProvisionToken bot-token", "TeleportRoleV8 " + fullName,
	})
	token := get[*teleportToken](all, "bot-token").Spec
	equal(t, "override", token.Kubernetes.Type, "static_jwks")
	equal(t, "what is not overridden", token.Kubernetes.Allow[0].ServiceAccount, "teleport:test-tbot")
	equal(t, "bot", token.BotName, fullName)
}

func TestChartOperatorResourcesByDefault(t *testing.T) {
	all := render(t, least, operator)
	role := get[*teleportRole](all, fullName)
	equal(t, "namespace", role.Namespace, "operator-namespace")
	equal(t, "rules", len(role.Spec.Allow.Rules), 1)
	equal(t, "resources", role.Spec.Allow.Rules[0].Resources, []string{"event", "session"})
	equal(t, "verbs", role.Spec.Allow.Rules[0].Verbs, []string{"list", "read"})
	bot := get[*teleportBot](all, fullName)
	equal(t, "namespace", bot.Namespace, "operator-namespace")
	equal(t, "roles", bot.Spec.Roles, []string{fullName})
	token := get[*teleportToken](all, "bot-token")
	equal(t, "namespace", token.Namespace, "operator-namespace")
	equal(t, "roles", token.Spec.Roles, []string{"Bot"})
	equal(t, "bot", token.Spec.BotName, bot.Name)
	equal(t, "method", token.Spec.JoinMethod, "kubernetes")
	equal(t, "type", token.Spec.Kubernetes.Type, "in_cluster")
	equal(t, "account", token.Spec.Kubernetes.Allow[0].ServiceAccount, "teleport:test-tbot")
	get[*corev1.ServiceAccount](all, "test-tbot")

	all = render(t, least, operator, "crd: {namespace: ''}\ntbot: {serviceAccount: {name: bot}}")
	equal(t, "namespace of the release", get[*teleportRole](all, fullName).Namespace, "teleport")
	account := get[*teleportToken](all, "bot-token").Spec.Kubernetes.Allow[0].ServiceAccount
	equal(t, "account of its own", account, "teleport:bot")
	get[*corev1.ServiceAccount](all, "bot")
}

// Locking users out needs rights that reading does not.
func TestChartOperatorRoleAllowsLocksWhenTheyAreWanted(t *testing.T) {
	rules := get[*teleportRole](render(t, least, operator, "eventHandler: {lock: {enabled: true}}"), fullName).Spec.Allow.Rules
	equal(t, "resources", rules[1].Resources, []string{"lock"})
	equal(t, "verbs", rules[1].Verbs, []string{"create", "update"})
}

func TestChartOperatorResourcesForOtherJoinMethods(t *testing.T) {
	all := render(t, least, operator, "tbot: {joinMethod: iam}",
		"crd: {tokenSpecOverride: {join_method: iam, allow: [{aws_account: '1'}]}}")
	token := get[*teleportToken](all, "bot-token").Spec
	equal(t, "method", token.JoinMethod, "iam")
	equal(t, "no rest of the default", token.Kubernetes == nil, true)
	equal(t, "allow", token.Allow[0]["aws_account"], "1")
}

func TestChartNoOperatorResourcesWithoutWish(t *testing.T) {
	equal(t, "none", len(render(t, least, operator, "crd: {create: false}").kinds("operator_crs.yaml")), 0)
	equal(t, "none", len(render(t, least).kinds("operator_crs.yaml")), 0)
}

func TestChartOperatorRefusals(t *testing.T) {
	for text, values := range map[string]string{
		"only one of teleportProxyAddress and teleportAuthAddress":        "tbot: {teleportAuthAddress: 'auth:3025'}",
		"one of teleportProxyAddress and teleportAuthAddress must be set": "tbot: {teleportProxyAddress: ''}",
		"clusterName must be set":                                         "tbot: {clusterName: ''}",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			refuses(t, text, least, operator, values)
		})
	}
}

// The handler reads what tbot writes, without being told where.
func TestChartIdentityOfTbot(t *testing.T) {
	for _, release := range []string{"test", "our-tbot"} {
		name := release + "-tbot"
		all := decode(t, renderAs(t, release, operator, "fluentd: {url: 'https://f/a', sessionUrl: 'https://f/b'}"))
		bot := get[*corev1.ConfigMap](all, name)
		var config struct {
			Outputs []struct {
				Type        string
				Destination struct{ Type, Name string }
			}
			ProxyServer string `json:"proxy_server"`
			Onboarding  struct {
				JoinMethod string `json:"join_method"`
				Token      string
			}
		}
		if err := yaml.Unmarshal([]byte(bot.Data["tbot.yaml"]), &config); err != nil {
			t.Fatal(err)
		}
		equal(t, "output", config.Outputs[0].Type+" "+config.Outputs[0].Destination.Type, "identity kubernetes_secret")
		equal(t, "secret", config.Outputs[0].Destination.Name, name+"-out")
		equal(t, "secret", all.volume("teleport-identity").Secret.SecretName, name+"-out")
		equal(t, "proxy", config.ProxyServer, "teleport.example.com:443")
		equal(t, "method", config.Onboarding.JoinMethod+" "+config.Onboarding.Token, "kubernetes bot-token")
		account := get[*appsv1.Deployment](all, name).Spec.Template.Spec.ServiceAccountName
		get[*corev1.ServiceAccount](all, account)
	}
	all := render(t, operator)
	equal(t, "address", all.config()["teleport.addr"], any("teleport.example.com:443"))
	equal(t, "file", all.config()["teleport.identity"], any(home+"/teleport-identity/identity"))

	all = render(t, operator, "tbot: {teleportProxyAddress: '', teleportAuthAddress: 'auth.example.com:3025'}")
	equal(t, "address", all.config()["teleport.addr"], any("auth.example.com:3025"))

	all = render(t, operator, "teleport: {address: 'other:443'}")
	equal(t, "address", all.config()["teleport.addr"], any("other:443"))

	all = render(t, least)
	equal(t, "no tbot", all.kinds("../charts/tbot/templates/deployment.yaml") == nil, true)
}
